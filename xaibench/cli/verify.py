"""The command ``verify``: is a finished run still what it was?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from xaibench.progress import for_terminal

app = typer.Typer()
MARKS = {True: "ok", False: "FAILED", None: "note"}


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="folder of a finished run")],
    cells: Annotated[
        int, typer.Option(min=0, help="explainers x blocks of images to compute anew")
    ] = 3,
    tolerance: Annotated[
        float, typer.Option(min=0, help="the largest difference of a score that is let pass")
    ] = 1e-6,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="DIR", help="checkpoints; default OUT/cache")
    ] = None,
) -> None:
    """Check a run's files, data and weights, and compute a few cells anew; exit code 1 if not so.

    Nothing is trained, and nothing in the folder is written.
    """
    from xaibench.runs.verifying import Asked, verify

    with for_terminal() as progress:
        checks = list(verify(Asked(folder, cells, tolerance, cache), progress))
    table = Table("", "what", "found", box=None, pad_edge=False)
    for check in checks:
        table.add_row(MARKS[check.passed], check.what, check.said)
    Console(markup=False, highlight=False).print(table)
    failed = [check.what for check in checks if check.passed is False]
    told = f"{len(failed)} of {len(checks)} checks failed" if failed else "verified"
    print(f"{told} (tolerance {tolerance:g}): {folder}")
    raise typer.Exit(1 if failed else 0)
