"""The story: config -> data -> model -> explain -> score -> record -> leaderboard -> figures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.atomic import replacing
from xaibench.blocks import make_block
from xaibench.config import RunConfig, dump
from xaibench.datasets.base import Data, channel_mean
from xaibench.device import choose_device, reproducible
from xaibench.errors import UserError
from xaibench.fitting import trained_model, twin_model
from xaibench.manifest import describe
from xaibench.metrics.base import MapMetric, PredictionMetric, TwinMetric
from xaibench.models.base import Classifier
from xaibench.predictions import prediction_table, with_selection
from xaibench.present import present
from xaibench.progress import Progress
from xaibench.provenance import code_version, plugin_version
from xaibench.results import Cell, RunFolder
from xaibench.scoring import score_cell, score_predictions
from xaibench.selection import check_images, select, with_targets
from xaibench.training.evaluate import predict_logits


def run(config: RunConfig, out: Path, progress: Progress) -> Path:
    """Run a config from its data to its figures, and return the run's folder.

    Whatever of it is done already is not done again: the same config, code and kind of device
    give the same folder, which is gone on with.
    """
    device = choose_device(config.device)
    if all(isinstance(m, PredictionMetric) for m in config.metrics.values()):
        raise UserError("metrics: name one that scores maps, such as deletion")
    plugins = [config.dataset, config.model, *config.explainers.values(), *config.metrics.values()]
    identity = {
        "config": config.resolved(),
        "code": [code_version(), plugin_version(*plugins)],
        "device": device.type,
    }
    folder = RunFolder(out / config.name, identity)
    if folder.finished:
        progress.say(f"{folder.path} is finished already; delete it to run it anew")
        return folder.path
    with replacing(folder.path / "config.yaml") as file:
        file.write_text(dump(config))

    with reproducible(config.seed):
        cache = out / "cache"
        data = config.dataset.open(seed=config.seed, cache=cache, progress=progress)
        check_images(config.images, config.target, data)
        model, trained = trained_model(config, config.training, data, device, cache, progress)
        twin = twin_model(config, data, device, cache, progress)
        predictions, items = predict_and_select(config, data, model, progress)
        manifest = describe(config, data, model, trained, folder.run, device)
        folder.write_manifest(manifest | {"status": "running"})
        with replacing(folder.path / "training_log.csv") as file:
            trained.log.to_csv(file, index=False)
        about = {
            "run": folder.run,
            "dataset": data.name,
            "split": config.images.split,
            "model": getattr(config.model, "architecture", config.model.name),
        }
        explain_and_score(config, data, model, twin, items, folder, about, progress)
        record(config, data, predictions, items, folder, about)
    present(folder.path, progress)
    folder.write_manifest(manifest | {"status": "finished"})
    folder.drop_cells()
    return folder.path


def predict_and_select(
    config: RunConfig, data: Data, model: Classifier, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions for the whole split, and the images and targets to explain."""
    split = config.images.split
    logits = predict_logits(model, data.splits[split], progress=progress, title="Predicting")
    probabilities = model.probabilities(logits).numpy()
    predictions = prediction_table(data, split, probabilities)
    items = with_targets(predictions, config.target, data.classes)
    chosen = select(items, config.images, data.classes, config.seed)
    asked = config.images.count
    if asked != "all" and len(chosen) < asked:
        progress.say(f"images: only {len(chosen)} of the {asked} asked for are there")
    return predictions, chosen


def blocks_of(config: RunConfig, items: pd.DataFrame) -> list[pd.DataFrame]:
    size = config.images_per_block
    return [items.iloc[start : start + size] for start in range(0, len(items), size)]


def explain_and_score(
    config: RunConfig,
    data: Data,
    model: Classifier,
    twin: Classifier | None,
    items: pd.DataFrame,
    folder: RunFolder,
    about: dict[str, object],
    progress: Progress,
) -> None:
    """Do every cell (explainer x block of images) that is not done yet."""
    of_maps = (MapMetric, TwinMetric)
    metrics = {k: m for k, m in config.metrics.items() if isinstance(m, of_maps)}
    mean = channel_mean(data.splits["train"], config.seed)
    total, done = len(items) * len(config.explainers), 0
    pending = []
    for number, rows in enumerate(blocks_of(config, items)):
        cells = [Cell(e, number) for e in config.explainers]
        left = [cell for cell in cells if not folder.has(cell)]
        pending += [(rows, left)] if left else []
        done += len(rows) * (len(cells) - len(left))
    with progress.stage("Explaining and scoring", total, done) as advance:
        for rows, left in pending:
            block = make_block(
                rows,
                data,
                config.images.split,
                about=about,
                dataset_mean=mean,
                segments=config.segments,
                seed=config.seed,
                device=model.device,
            )
            for cell in left:
                explainer = config.explainers[cell.explainer]
                result = score_cell(
                    cell, explainer, metrics, model, block, config.segments.id, twin
                )
                folder.write(cell, result)
                advance(len(rows))


def record(
    config: RunConfig,
    data: Data,
    predictions: pd.DataFrame,
    items: pd.DataFrame,
    folder: RunFolder,
    about: dict[str, object],
) -> None:
    """Write the run's tables: predictions, scores, curves, timings, maps."""
    with replacing(folder.path / "predictions.parquet") as file:
        with_selection(predictions, items).to_parquet(file, index=False)
    records = data.splits[config.images.split]
    alone = {k: m for k, m in config.metrics.items() if isinstance(m, PredictionMetric)}
    probabilities = predictions[[f"p_{c}" for c in data.classes]].to_numpy()
    rows = score_predictions(
        alone, records.labels, probabilities, task=data.task, seed=config.seed, about=about
    )
    at = items.index.to_numpy()
    targets = items["target"].map(data.classes.index).to_numpy()
    masks = records.masks(at, targets)
    stored = {"ids": np.array(list(items["image"]), dtype="S"), "images": records.images(at)}
    stored |= {f"masks/{name}": mask.astype(np.uint8) for name, mask in masks.items()}
    blocks = math.ceil(len(items) / config.images_per_block)
    folder.merge(config.explainers, blocks, rows, stored)
