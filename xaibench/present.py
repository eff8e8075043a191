"""What people read of a run: leaderboard, figures, report. Made of its tables, without torch."""

from __future__ import annotations

from pathlib import Path

from xaibench import leaderboard
from xaibench.figures.draw import draw_all
from xaibench.progress import Progress
from xaibench.report.page import write_page


def present(folder: Path, progress: Progress) -> None:
    """Write ``leaderboard.{csv,md,tex}``, ``figures/`` and ``report.html`` of a run's folder."""
    leaderboard.make(folder)
    draw_all(folder, progress)
    write_page(folder)
