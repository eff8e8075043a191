"""Commands that run a config: ``run`` and ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xaibench.cli.options import ConfigPath, Device, OutFolder, Overrides, said
from xaibench.progress import for_terminal

app = typer.Typer()


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: OutFolder = Path("results"),
    device: Device = None,
) -> None:
    """Run a config from its data to its leaderboard and figures; goes on where it was stopped."""
    from xaibench.config.reading import load_config

    checked = load_config(config, said(overrides, device))
    from xaibench.runs.story import run as run_config

    with for_terminal() as progress:
        folder = run_config(checked, out, progress)
    print((folder / "leaderboard.md").read_text(encoding="utf-8"))
    print(f"Results: {folder}")


@app.command()
def train(
    config: ConfigPath,
    overrides: Overrides = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="A.B=[C, D]", help="values to search over; repeatable"),
    ] = None,
    out: OutFolder = Path("results"),
    device: Device = None,
) -> None:
    """Train a config's models alone, at every point of a grid if one is given; keeps a table."""
    from xaibench.config.reading import load_config

    monitor = load_config(config, said(overrides, device)).training.monitor
    from xaibench.runs.grid import best_point, grid_points, search, settings

    points = grid_points(grid or [])
    with for_terminal() as progress:
        table, file = search(config, said(overrides, device), points, out, progress)
    print(table.drop(columns="checkpoint").to_string(index=False))
    print(f"Table: {file}")
    if best := best_point(table, points, monitor):
        words = " ".join(f"--set '{word}'" for word in settings(best))
        over = "training seeds and labels" if table["training_seed"].nunique() > 1 else "labels"
        print(f"Best validation {monitor} (mean over {over}): {words}")
