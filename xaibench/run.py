"""The story: config -> data -> model -> explain -> score -> record -> leaderboard -> figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from xaibench import leaderboard
from xaibench.atomic import replacing
from xaibench.blocks import make_block
from xaibench.config import RunConfig, dump, plugin_parameters
from xaibench.datasets.base import Data, channel_mean
from xaibench.errors import UserError, did_you_mean
from xaibench.figures.draw import draw_all
from xaibench.metrics.base import MapMetric, PredictionMetric
from xaibench.models.base import Classifier
from xaibench.predictions import prediction_table
from xaibench.progress import Progress
from xaibench.provenance import code_version, environment
from xaibench.results import Cell, RunFolder
from xaibench.scoring import score_cell
from xaibench.selection import select, with_targets
from xaibench.training.evaluate import predict_logits
from xaibench.training.loop import Trained, fit


def run(config: RunConfig, out: Path, progress: Progress) -> Path:
    """Run a config from its data to its figures, and return the run's folder.

    Whatever of it is done already is not done again: the same config, code and kind of device
    give the same folder, which is gone on with.
    """
    device = choose_device(config.device)
    identity = {"config": config.resolved(), "code": code_version(), "device": device.type}
    folder = RunFolder(out / config.name, identity)
    if folder.finished:
        progress.say(f"{folder.path} is finished already; delete it to run it anew")
        return folder.path
    with replacing(folder.path / "config.yaml") as file:
        file.write_text(dump(config))

    with reproducible(config.seed):
        cache = out / "cache"
        data = config.dataset.open(seed=config.seed, cache=cache, progress=progress)
        model, trained = trained_model(config, data, device, cache, progress)
        predictions, items = predict_and_select(config, data, model, progress)
        manifest = describe(config, data, model, trained, folder.run, device)
        folder.write_manifest(manifest | {"status": "running"})
        trained.log.to_csv(folder.path / "training_log.csv", index=False)
        about = {
            "run": folder.run,
            "dataset": data.name,
            "split": config.images.split,
            "model": getattr(config.model, "architecture", config.model.name),
        }
        explain_and_score(config, data, model, items, folder, about, progress)
        record(config, data, predictions, items, folder, about)
    progress.say("Drawing tables and figures")
    leaderboard.make(folder.path)
    draw_all(folder.path, progress)
    folder.write_manifest(manifest | {"status": "finished"})
    folder.drop_cells()
    return folder.path


def choose_device(name: str) -> torch.device:
    """Return the device that a config names; ``auto`` takes a GPU where one is."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    missing = (name.startswith("cuda") and not torch.cuda.is_available()) or (
        name == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise UserError(f"device: {name!r} is not available here; use 'auto' or 'cpu'")
    return torch.device(name)


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed what has no seed of its own, and keep kernels from varying from run to run."""
    backends = torch.backends.cudnn
    before = (backends.deterministic, backends.benchmark, backends.allow_tf32)
    backends.deterministic, backends.benchmark, backends.allow_tf32 = True, False, False
    torch.manual_seed(seed)
    try:
        yield
    finally:
        backends.deterministic, backends.benchmark, backends.allow_tf32 = before


def trained_model(
    config: RunConfig, data: Data, device: torch.device, cache: Path, progress: Progress
) -> tuple[Classifier, Trained]:
    """Build the model, train it or load what was trained before, and check the explainers on it."""
    model = config.model.build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    model = model.to(device=device, memory_format=torch.channels_last).eval()
    model.batch_size = config.batch_size
    for label, explainer in config.explainers.items():
        try:
            explainer.check(model)
        except UserError as error:
            raise UserError(f"explainers.{label}: {error}") from None
    progress.say(f"Model: {config.model}; weights: {model.weights}")
    recipe = {
        "dataset": plugin_parameters(config.dataset),
        "model": plugin_parameters(config.model) | {"weights": model.weights},
        "device": device.type,
    }
    options = {"recipe": recipe, "seed": config.seed, "cache": cache, "progress": progress}
    trained = fit(model, data, config.training, **options)
    model.requires_grad_(False)
    return model, trained


def predict_and_select(
    config: RunConfig, data: Data, model: Classifier, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions for the whole split, and the images and targets to explain."""
    split = config.images.split
    if split not in data.splits:
        raise UserError(f"images.split: no split {split!r}{did_you_mean(split, data.splits)}")
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
    items: pd.DataFrame,
    folder: RunFolder,
    about: dict[str, object],
    progress: Progress,
) -> None:
    """Do every cell (explainer x block of images) that is not done yet."""
    metrics = {k: m for k, m in config.metrics.items() if isinstance(m, MapMetric)}
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
                result = score_cell(cell, explainer, metrics, model, block, config.segments.id)
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
    chosen = items[["image", "target", "p_target"]]
    table = predictions.merge(chosen, on="image", how="left", validate="one_to_many")
    table["selected"] = table["target"].notna()
    with replacing(folder.path / "predictions.parquet") as file:
        table.to_parquet(file, index=False)
    records = data.splits[config.images.split]
    probabilities = predictions[[f"p_{c}" for c in data.classes]].to_numpy()
    rows = []
    for metric in config.metrics.values():
        if isinstance(metric, PredictionMetric):
            values = metric.score_predictions(
                records.labels, probabilities, task=data.task, seed=config.seed
            )
            rows += [about | _model_row(k, v, metric) for k, v in values.items()]
    at = items.index.to_numpy()
    targets = items["target"].map(data.classes.index).to_numpy()
    masks = records.masks(at, targets)
    stored = {"ids": np.array(list(items["image"]), dtype="S"), "images": records.images(at)}
    stored |= {f"masks/{name}": mask.astype(np.uint8) for name, mask in masks.items()}
    blocks = math.ceil(len(items) / config.images_per_block)
    folder.merge(config.explainers, blocks, rows, stored)


def _model_row(name: str, value: float, metric: PredictionMetric) -> dict[str, object]:
    finite = math.isfinite(value)
    return {
        "metric": name,
        "protocol": metric.protocol(name, ""),
        "higher_is_better": metric.higher_is_better,
        "value": value,
        "status": "ok" if finite else "undefined",
        "reason": None if finite else "needs images of at least two labels",
    }


def describe(
    config: RunConfig,
    data: Data,
    model: Classifier,
    trained: Trained,
    run_id: str,
    device: torch.device,
) -> dict[str, object]:
    """Return the manifest: what this result was made of and by."""
    split = data.splits[config.images.split]
    masks = split.masks(np.arange(1), np.zeros(1, dtype=int))
    protocols = {}
    for metric in config.metrics.values():
        names = metric.value_names(tuple(masks)) if isinstance(metric, MapMetric) else [metric.name]
        protocols |= {n: metric.protocol(n, config.segments.id) for n in names}
    return {
        "name": config.name,
        "run": run_id,
        "seed": config.seed,
        "dataset": {"name": data.name, "checksum": data.checksum, **data.facts},
        "model": {
            **plugin_parameters(config.model),
            "weights_used": model.weights,
            "head": model.head,
            "checkpoint": trained.key,
            "best_epoch": trained.best_epoch,
            # NaN is no JSON.
            f"best_{config.training.monitor}": (
                trained.best_value if math.isfinite(trained.best_value) else None
            ),
        },
        "training": config.training.model_dump(mode="json"),
        "explainers": {
            k: plugin_parameters(e) | e.facts(model) for k, e in config.explainers.items()
        },
        "protocols": protocols,
        "environment": environment(device),
    }
