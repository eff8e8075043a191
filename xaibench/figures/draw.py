"""Every figure of a finished run, from the files in its folder."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from xaibench.figures import (
    agreement,
    bands,
    cost,
    critical_difference,
    curves,
    gallery,
    panels,
    probes,
    rank_intervals,
    ranking,
    ranking_agreement,
    roc,
    superpixels,
    training,
    training_seeds,
)
from xaibench.figures.base import save
from xaibench.leaderboards.board import ScoredRun
from xaibench.progress import Progress
from xaibench.types import FigureFormat

# Each yields the names and figures that a run's files allow.
KINDS = (
    *(training, ranking, rank_intervals, critical_difference, ranking_agreement, training_seeds),
    *(cost, curves, panels, agreement),
    *(roc, bands, gallery, probes, superpixels),
)


def drawn_formats(folder: Path) -> list[FigureFormat]:
    """Return the formats in which a run's figures are there."""
    endings = {path.suffix[1:] for path in (folder / "figures").glob("*.*")}
    return [each for each in get_args(FigureFormat) if each in endings]


def draw_all(
    run: ScoredRun, progress: Progress, formats: Collection[FigureFormat] = ("png",)
) -> list[Path]:
    """Draw what a run's files allow into ``figures/``; return the paths written."""
    written: list[Path] = []
    with progress.stage("figures", len(KINDS)) as advance, _collecting_figures_alone():
        for kind in KINDS:
            for name, figure in kind.of_run(run):
                written += save(figure, run.folder / "figures", name, formats)
                del figure
                gc.collect()
            advance(1)
    return written


@contextmanager
def _collecting_figures_alone() -> Iterator[None]:
    """Have garbage collected only when it is asked for, and among what is made inside the block.

    A figure is full of circles: the collector would go through all that the process holds many
    times while one is drawn, a sixth of the whole.
    """
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
