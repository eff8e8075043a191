"""The command line: prints and exit codes, nothing else.

torch is imported by the commands that need it, so that the others answer at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import click
import typer
import typer.core
from rich.console import Console
from rich.table import Table

from xaibench.cli_data import app as data_commands
from xaibench.errors import PluginError, UserError
from xaibench.progress import for_terminal


class _Interruptible(typer.core.TyperGroup):
    """Says what a stopped run leaves, before typer turns the interruption into an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print(
                "xaibench: stopped; what is done is kept, and the same command goes on from there",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Interruptible,
    help="Benchmark explanations of medical image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_commands, name="data")

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="a YAML file, see configs/")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="override a value of the config; repeatable"),
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="where results go")]


@app.command()
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    out: OutFolder = Path("results"),
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda or cuda:N")] = None,
) -> None:
    """Run a config from its data to its leaderboard and figures; goes on where it was stopped."""
    from xaibench.config import load

    said = [*(overrides or []), *([f"device={device}"] if device else [])]
    checked = load(config, said)
    from xaibench.run import run as run_config

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
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda or cuda:N")] = None,
) -> None:
    """Train a config's models alone, at every point of a grid if one is given; keeps a table."""
    from xaibench.config import load

    said = [*(overrides or []), *([f"device={device}"] if device else [])]
    monitor = load(config, said).training.monitor
    from xaibench.grid import best_point, grid_points, search, settings

    points = grid_points(grid or [])
    with for_terminal() as progress:
        table, file = search(config, said, points, out, progress)
    print(table.drop(columns="checkpoint").to_string(index=False))
    print(f"Table: {file}")
    if best := best_point(table, points, monitor):
        words = " ".join(f"--set '{word}'" for word in settings(best))
        print(f"Best validation {monitor} (mean over labels): {words}")


@app.command("list")
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    kind: Annotated[
        str | None, typer.Option(help="only dataset, model, explainer or metric")
    ] = None,
    plugins: Annotated[
        list[Path] | None, typer.Option("--plugin", help="a plugin file beside the installed ones")
    ] = None,
) -> None:
    """List every plugin: kind, name, what it is, where it comes from."""
    from xaibench.errors import did_you_mean
    from xaibench.registry import KINDS, Registry

    if kind is not None and kind not in KINDS:
        raise UserError(f"--kind: unknown kind {kind!r}{did_you_mean(kind, KINDS)}")
    found = [p for p in Registry(plugins or ()).plugins() if kind in (None, p.kind)]
    rows = [
        {"kind": p.kind, "name": p.name, "summary": p.summary, "source": p.source} for p in found
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("kind", "name", "what", "source", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


@app.command()
def check(
    plugin: Annotated[str, typer.Argument(help="a plugin file, or KIND:NAME")],
) -> None:
    """Check that an explainer or a metric keeps its contract; exit code 1 where it does not."""
    from xaibench.checks import check_plugin

    failed = 0
    for result in check_plugin(plugin):
        print(f"{'ok    ' if result.passed else 'FAILED'}  {result.name}", flush=True)
        if not result.passed:
            failed += 1
            print(f"        {result.why}")
    raise typer.Exit(1 if failed else 0)


@app.command()
def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="folders of finished runs")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="where the tables go")
    ] = None,
) -> None:
    """Merge runs into one leaderboard (csv, md, tex); refuses to merge different protocols."""
    from xaibench.leaderboard import make

    print(make(*folders, out=out))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="folder of a finished run")],
) -> None:
    """Make leaderboard, figures and report.html of a run's tables anew."""
    from xaibench.present import present

    with for_terminal() as progress:
        present(folder, progress)
    print(f"Report: {folder / 'report.html'}")


def main() -> None:
    """Run the command line; mistakes of the user are one line and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"xaibench: {error}", file=sys.stderr)
        sys.exit(2)
    except PluginError as error:
        print(f"xaibench: a plugin breaks its contract: {error}", file=sys.stderr)
        sys.exit(1)
