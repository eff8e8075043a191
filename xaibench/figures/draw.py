"""Every figure of a finished run, from the files in its folder."""

from __future__ import annotations

from collections.abc import Collection
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
    with progress.stage("figures", len(KINDS)) as advance:
        for kind in KINDS:
            for name, figure in kind.of_run(run):
                written += save(figure, run.folder / "figures", name, formats)
            advance(1)
    return written
