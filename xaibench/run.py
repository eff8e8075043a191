"""The story: config -> data -> model -> explain -> score -> record -> leaderboard -> figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.atomic import replacing
from xaibench.blocks import blocks_of
from xaibench.cells import explain_and_score
from xaibench.config import RunConfig, dump
from xaibench.datasets.base import Data, channel_mean
from xaibench.device import choose_device, reproducible
from xaibench.errors import UserError
from xaibench.fitting import Fitted, fitted_models, training_log
from xaibench.manifest import describe
from xaibench.metrics.base import MapMetric, PredictionMetric, TwinMetric
from xaibench.predictions import prediction_table, with_selection
from xaibench.present import present
from xaibench.progress import Progress
from xaibench.provenance import code_version, plugin_version
from xaibench.results import RunFolder
from xaibench.rows import prediction_rows
from xaibench.segments import Segmenter, workers_beside
from xaibench.selection import check_images, select, with_targets
from xaibench.submission import check_submission, submission_table
from xaibench.training.evaluate import predict_logits


def run(config: RunConfig, out: Path, progress: Progress) -> Path:
    """Run a config from its data to its figures, and return the run's folder.

    Whatever of it is done already is not done again: the same config, code and kind of device
    give the same folder, which is gone on with.
    """
    device = choose_device(config.device)
    if not any(isinstance(m, MapMetric | TwinMetric) for m in config.metrics.values()):
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
        check_submission(config.submission, data.classes)
        check_metrics(config, data)
        fitted = fitted_models(config, data, device, cache, progress)
        predictions, items = predict_and_select(config, data, fitted, progress)
        manifest = describe(config, data, fitted, folder.run, device)
        folder.write_manifest(manifest | {"status": "running"})
        with replacing(folder.path / "training_log.csv") as file:
            training_log(fitted).to_csv(file, index=False)
        about = {
            "run": folder.run,
            "dataset": data.name,
            "split": config.images.split,
            "model": getattr(config.model, "architecture", config.model.name),
        }
        mean = channel_mean(data.splits["train"], config.seed)
        blocks = blocks_of(config, items, fitted[0].model)
        with Segmenter(cache / "segments", workers_beside(device)) as segmenter:
            work = (config, data, fitted, blocks, mean, folder, about, segmenter, progress)
            explain_and_score(*work)
        record(config, data, predictions, items, len(blocks), mean, folder, about)
    present(folder.path, progress)
    folder.write_manifest(manifest | {"status": "finished"})
    folder.drop_cells()
    return folder.path


def check_metrics(config: RunConfig, data: Data) -> None:
    """Raise UserError where a metric cannot take images of this size."""
    for name, metric in config.metrics.items():
        try:
            metric.check(data.size)
        except UserError as error:
            raise UserError(f"metrics.{name}: {error}") from None


def predict_and_select(
    config: RunConfig, data: Data, fitted: Sequence[Fitted], progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions for the whole split, and the images and targets to explain."""
    split = config.images.split
    columns = []
    for each in fitted:
        title = f"Predicting {each.label}" if each.label else "Predicting"
        logits = predict_logits(each.model, data.splits[split], progress=progress, title=title)
        columns.append(each.model.probabilities(logits).numpy())
    predictions = prediction_table(data, split, np.concatenate(columns, axis=1))
    items = with_targets(predictions, config.target, data.classes)
    chosen = select(items, config.images, data.classes, config.seed)
    if len(fitted) > 1:  # a block has one model
        numbers = chosen["target"].map(data.classes.index)
        chosen = chosen.iloc[np.argsort(numbers.to_numpy(), kind="stable")]
    asked = config.images.count
    if asked != "all" and len(chosen) < asked:
        progress.say(f"images: only {len(chosen)} of the {asked} asked for are there")
    return predictions, chosen


def record(
    config: RunConfig,
    data: Data,
    predictions: pd.DataFrame,
    items: pd.DataFrame,
    blocks: int,
    mean: np.ndarray,
    folder: RunFolder,
    about: dict[str, object],
) -> None:
    """Write the run's tables: predictions, scores, curves, timings, maps."""
    with replacing(folder.path / "predictions.parquet") as file:
        with_selection(predictions, items).to_parquet(file, index=False)
    records = data.splits[config.images.split]
    alone = {k: m for k, m in config.metrics.items() if isinstance(m, PredictionMetric)}
    probabilities = predictions[[f"p_{c}" for c in data.classes]].to_numpy()
    rows = prediction_rows(
        alone, records.labels, probabilities, task=data.task, seed=config.seed, about=about
    )
    at = items.index.to_numpy()
    targets = items["target"].map(data.classes.index).to_numpy()
    masks = records.masks(at, targets)
    texts = {"ids": items["image"], "targets": items["target"]}
    stored = {k: np.array([v.encode() for v in values]) for k, values in texts.items()}
    stored |= {"images": records.images(at), "dataset_mean": mean}
    stored |= {f"masks/{name}": mask.astype(np.uint8) for name, mask in masks.items()}
    folder.merge([*config.explainers, None], blocks, rows, stored)
    if config.submission:
        with replacing(folder.path / "submission.csv") as file:
            table = submission_table(predictions, config.submission, data.classes)
            table.to_csv(file, index=False)
