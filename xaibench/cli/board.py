"""Commands on finished runs: ``leaderboard`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xaibench.progress import for_terminal

app = typer.Typer()


@app.command()
def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="folders of finished runs")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="where the tables go")
    ] = None,
) -> None:
    """Merge runs into one leaderboard (csv, md, tex); refuses to merge different protocols."""
    from xaibench.leaderboards.board import make

    print(make(*folders, out=out))


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="folder of a finished run")]) -> None:
    """Make leaderboard, figures and report.html of a run's tables anew."""
    from xaibench.runs.present import present
    from xaibench.store.seal import resealed

    with for_terminal() as progress, resealed(folder):
        present(folder, progress)
    print(f"Report: {folder / 'report.html'}")
