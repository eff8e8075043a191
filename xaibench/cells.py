"""All cells of a run: what is left of them, in which order, and what is scored together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from xaibench.blocks import made_ahead, make_block
from xaibench.config import RunConfig
from xaibench.datasets.base import Data
from xaibench.fitting import Fitted, by_target
from xaibench.metrics.base import ImageMetric, MapMetric, TwinMetric
from xaibench.progress import Progress
from xaibench.results import Cell, CellResult, RunFolder
from xaibench.rows import Block
from xaibench.scoring import score_cells, score_images
from xaibench.segments import Segmenter


@dataclass(frozen=True)
class _Work:
    """A block with cells that are not done yet.

    Attributes:
        groups: cells that are scored together; of each group at least one is missing.
        make: makes the block.
    """

    fitted: Fitted
    groups: list[list[Cell]]
    make: Callable[[], Block]


def explain_and_score(
    config: RunConfig,
    data: Data,
    fitted: Sequence[Fitted],
    blocks: Sequence[pd.DataFrame],
    mean: np.ndarray,
    folder: RunFolder,
    about: dict[str, object],
    segmenter: Segmenter,
    progress: Progress,
) -> None:
    """Do every cell (explainer, or none, x block of images) that is not done yet."""
    models = by_target(fitted, data.classes)
    whose = [None, *config.explainers]
    total, done, work = sum(map(len, blocks)) * len(whose), 0, []
    for number, rows in enumerate(blocks):
        its = models[rows["target"].iloc[0]]
        cells = [Cell(e, number) for e in whose]
        groups = scored_together(cells, len(rows), its.model.batch_size)
        # Whole groups: of a part of one, batches are others, and round the last bit another way.
        left = [g for g in groups if not all(map(folder.has, g))]
        done += len(rows) * (len(cells) - sum(map(len, left)))
        make = partial(
            make_block,
            rows,
            its.data,
            config.images.split,
            about=about,
            dataset_mean=mean,
            segments=config.segments,
            seed=config.seed,
            device=its.model.device,
            segmenter=segmenter,
            explainers=[config.explainers[c.explainer] for g in left for c in g if c.explainer],
        )
        work += [_Work(its, left, make)] if left else []
    making = made_ahead([each.make for each in work], fitted[0].model.device)
    stage = progress.stage("Explaining and scoring", total, done)
    with closing(making), stage as advance:
        for each, block in zip(work, making, strict=True):
            for group in each.groups:
                results = _results(config, each.fitted, group, block)
                for cell, result in results.items():
                    if not folder.has(cell):
                        folder.write(cell, result)
                    advance(len(block.batch))


def scored_together(cells: Sequence[Cell], images: int, batch_size: int) -> Iterator[list[Cell]]:
    """Yield the cells of a block in groups whose maps are scored at once.

    A map costs about a hundred passes, so that a twelfth of a batch's size in maps fills some
    eight batches, and what the last one lacks weighs little. More in a group would only lose
    more where a run is stopped. A cell without an explainer stands alone.
    """
    at_once = math.ceil(batch_size / (12 * images))
    explaining = [cell for cell in cells if cell.explainer is not None]
    yield from ([cell] for cell in cells if cell.explainer is None)
    yield from (explaining[k : k + at_once] for k in range(0, len(explaining), at_once))


def _results(
    config: RunConfig, fitted: Fitted, group: Sequence[Cell], block: Block
) -> Mapping[Cell, CellResult]:
    """Return what a group of cells gives."""
    segments = config.segments.id
    if group[0].explainer is None:
        of_images = {k: m for k, m in config.metrics.items() if isinstance(m, ImageMetric)}
        return {group[0]: score_images(group[0], of_images, fitted.model, block, segments)}
    of_maps = (MapMetric, TwinMetric)
    metrics = {k: m for k, m in config.metrics.items() if isinstance(m, of_maps)}
    explainers = {cell: config.explainers[cell.explainer] for cell in group}
    results = score_cells(explainers, metrics, fitted.model, block, segments, fitted.twin)
    return dict(zip(group, results, strict=True))
