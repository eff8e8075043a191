"""The tables of a run, made once every cell is there."""

from __future__ import annotations

import numpy as np

from xaibench.config.run_config import RunConfig
from xaibench.metrics.base import PredictionMetric
from xaibench.runs.rows import Row, prediction_rows
from xaibench.runs.subject import Subject
from xaibench.runs.submission import submission_table
from xaibench.store.predictions import with_selection
from xaibench.store.run_folder import RunFolder


def record(config: RunConfig, subject: Subject, folder: RunFolder, blocks: int) -> None:
    """Write the run's tables: predictions, scores, curves, timings, maps, and the submission."""
    predictions = subject.predictions
    if config.submission:
        submission = submission_table(predictions, config.submission, subject.data.classes)
        folder.write_table("submission.csv", submission)
    folder.write_table("predictions.parquet", with_selection(predictions, subject.items))
    if subject.validation is not None:
        folder.write_table("validation_predictions.parquet", subject.validation)
    rows = _model_rows(config, subject, folder.run)
    folder.merge([*config.explainers, None], blocks, rows, _images(subject))


def _model_rows(config: RunConfig, subject: Subject, run: str) -> list[Row]:
    about = subject.about(config, run)
    alone = {k: m for k, m in config.metrics.items() if isinstance(m, PredictionMetric)}
    probabilities = subject.predictions[[f"p_{c}" for c in subject.data.classes]].to_numpy()
    return prediction_rows(
        alone,
        subject.records.labels,
        probabilities,
        task=subject.data.task,
        seed=config.seed,
        about=about,
    )


def _images(subject: Subject) -> dict[str, np.ndarray]:
    """Return what stands beside the maps in ``maps.h5``."""
    items = subject.items
    at = items.index.to_numpy()
    targets = items["target"].map(subject.data.classes.index).to_numpy()
    texts = {"ids": items["image"], "targets": items["target"]}
    stored = {k: np.array([v.encode() for v in values]) for k, values in texts.items()}
    stored |= {"images": subject.records.images(at), "dataset_mean": subject.dataset_mean}
    masks = subject.records.masks(at, targets)
    return stored | {f"masks/{name}": mask.astype(np.uint8) for name, mask in masks.items()}
