"""The tables of a run, made once every cell is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xaibench.config.run_config import RunConfig
from xaibench.metrics.base import PredictionMetric
from xaibench.runs.cells import seed_of_cells
from xaibench.runs.limits import Watch
from xaibench.runs.predictions import prediction_rows
from xaibench.runs.rows import Row
from xaibench.runs.subject import Subject
from xaibench.runs.submission import submission_table
from xaibench.store.cells import SeedCells
from xaibench.store.predictions import with_seed, with_selection
from xaibench.store.run_folder import RunFolder


def record(
    config: RunConfig, subjects: Sequence[Subject], folder: RunFolder, blocks: Sequence[int]
) -> None:
    """Write the run's tables: predictions, scores, curves, timings, maps, and the submission.

    The submission is that of the first training seed.

    Args:
        blocks: their number for each subject.
    """
    first = subjects[0]
    if config.submission:
        submission = submission_table(first.predictions, config.submission, first.data.classes)
        folder.write_table("submission.csv", submission)
    told = [with_selection(each.predictions, each.items, each.seed) for each in subjects]
    folder.write_table("predictions.parquet", pd.concat(told, ignore_index=True))
    if first.validation is not None:
        told = [with_seed(each.validation, each.seed) for each in subjects]
        validation = pd.concat(told, ignore_index=True)
        folder.write_table("validation_predictions.parquet", validation)
    beside = [_beside(each) for each in subjects]
    beside[1:] = (_changed(each, beside[0]) for each in beside[1:])
    parts = [
        SeedCells(count, its, seed_of_cells(config, subject))
        for subject, count, its in zip(subjects, blocks, beside, strict=True)
    ]
    with Watch(config.limits, folder.notes) as watch:
        rows = [row for each in subjects for row in _model_rows(config, each, folder.run, watch)]
    folder.merge([*config.explainers, None], parts, rows)


def _model_rows(config: RunConfig, subject: Subject, run: str, watch: Watch) -> list[Row]:
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
        watch=watch,
    )


def _beside(subject: Subject) -> dict[str, np.ndarray]:
    """Return what stands beside the maps in ``maps.h5``."""
    items = subject.items
    at = items.index.to_numpy()
    targets = items["target"].map(subject.data.classes.index).to_numpy()
    texts = {"ids": items["image"], "targets": items["target"]}
    stored = {k: np.array([v.encode() for v in values]) for k, values in texts.items()}
    stored |= {"images": subject.records.images(at), "dataset_mean": subject.dataset_mean}
    masks = subject.records.masks(at, targets)
    return stored | {f"masks/{name}": mask.astype(np.uint8) for name, mask in masks.items()}


def _changed(arrays: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what of a further seed is not as of the first; images are found there by their ids."""
    own = {name: array for name, array in arrays.items() if name != "images"}
    return {name: array for name, array in own.items() if not np.array_equal(array, first[name])}
