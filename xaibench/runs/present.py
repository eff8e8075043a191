"""What people read of a run: leaderboard, figures, report. Made of its tables, without torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from xaibench.figures.draw import draw_all
from xaibench.leaderboards import (
    bands,
    by_target,
    probe_table,
    robustness,
    strata,
    superpixel_table,
    thresholds,
)
from xaibench.leaderboards.board import ScoredRun, write
from xaibench.leaderboards.summary import of_model_alone
from xaibench.progress import Progress
from xaibench.report.page import write_page
from xaibench.types import FigureFormat


def present(folder: Path, progress: Progress, formats: Collection[FigureFormat]) -> None:
    """Write tables, ``figures/`` and ``report.html`` of a run's folder.

    Tables: ``leaderboard.{csv,md,tex}``, those of ``robustness``, ``thresholds.csv`` with
    ``roc.md``, and where the run has what they need ``leaderboard_by_target.{csv,md}``,
    ``leaderboard_strata.{csv,md}``, ``bands.csv``, ``probes.{csv,md}`` and ``superpixels.csv``.
    """
    run = ScoredRun(folder)
    with progress.stage("tables", 7) as advance:
        write(run.analysis, of_model_alone(run.scores), folder, costs=run.costs)
        robustness.write(run.analysis, run.scores, folder)
        advance(1)
        by_target.make(run, thresholds.make(run))
        advance(2)
        for table in (strata, bands, probe_table, superpixel_table):
            table.make(run)
            advance(1)
    draw_all(run, progress, formats)
    write_page(run)
