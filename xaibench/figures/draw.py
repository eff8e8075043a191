"""Every figure of a finished run, from the files in its folder."""

from __future__ import annotations

from pathlib import Path

from xaibench.figures import (
    agreement,
    bands,
    cost,
    curves,
    gallery,
    panels,
    probes,
    ranking,
    roc,
    superpixels,
    training,
)
from xaibench.figures.base import save
from xaibench.leaderboards.board import ScoredRun
from xaibench.progress import Progress

# Each yields the names and figures that a run's files allow.
KINDS = (
    *(training, ranking, cost, curves, panels, agreement),
    *(roc, bands, gallery, probes, superpixels),
)


def draw_all(run: ScoredRun, progress: Progress) -> list[Path]:
    """Draw what a run's files allow into ``figures/``; return the paths written."""
    written: list[Path] = []
    with progress.stage("figures", len(KINDS)) as advance:
        for kind in KINDS:
            for name, figure in kind.of_run(run):
                written += save(figure, run.folder / "figures", name)
            advance(1)
    return written
