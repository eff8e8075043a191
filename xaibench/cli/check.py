"""The command ``check``: does a plugin keep its contract?"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xaibench.checks.check import SECONDS, CheckResult
from xaibench.checks.process import run_checks
from xaibench.progress import for_terminal

app = typer.Typer()

_STYLES = {
    "passed": "green",
    "failed": "bold red",
    "not run": "bold red",
    "expected failure": "yellow",
    "refused": "cyan",
    "not applicable": "dim",
}


@app.command()
def check(
    plugin: Annotated[
        str,
        typer.Argument(metavar="PLUGIN", help="a file, a NAME, KIND:NAME, or package.module:Class"),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="a parameter, the value as YAML; repeatable"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="that each check may take")] = SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Check that a plugin keeps its contract; exit code 1 where it does not.

    In a process of its own: a plugin that ends it, or hangs, has failed the check that was under
    way. A check that could not run has not passed.
    """
    live = sys.stdout.isatty() and not as_json
    results = []
    with for_terminal() as progress:
        for result in run_checks(plugin, settings or (), seconds, progress):
            results.append(result)
            if not live and not as_json:
                print(_line(result), flush=True)
    if as_json:
        print(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    elif live:
        Console().print(_table(results))
    if not as_json:
        counts = Counter(result.state for result in results)
        print(", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state]))
    raise typer.Exit(1 if any(result.failed for result in results) else 0)


def _line(result: CheckResult) -> str:
    state = result.state.upper() if result.failed else result.state
    return f"{state:16}  {result.name}" + (f": {result.why}" if result.why else "")


def _table(results: Sequence[CheckResult]) -> Table:
    table = Table("state", "check", "why", "s", box=None, pad_edge=False)
    for result in results:
        state = Text(result.state, style=_STYLES[result.state])
        table.add_row(state, Text(result.name), Text(result.why or ""), f"{result.seconds:.1f}")
    return table
