"""The command ``show``: what is this plugin?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xaibench.cli.options import Plugins

if TYPE_CHECKING:  # it imports torch
    from xaibench.checks.description import Description

app = typer.Typer()


@app.command()
def show(
    plugin: Annotated[
        str,
        typer.Argument(metavar="PLUGIN", help="a NAME, KIND:NAME, file, or package.module:Class"),
    ],
    kind: Annotated[
        str | None, typer.Option(help="dataset, model, explainer or metric, where two share a name")
    ] = None,
    plugins: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Show a plugin: definition, source, parameters, cost, what it needs, the id of its results."""
    from xaibench.registry import find_named

    found = find_named(plugin, kind, plugins or ())
    from xaibench.checks.description import describe

    told = describe(found)
    if as_json:
        print(json.dumps(told.plain(), indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{told.kind} {told.name}", style="bold"))
    console.print(Text(told.definition))
    console.print()
    for name, text in _lines(told):
        console.print(Text.assemble((f"{name}: ", "bold"), text))
    if told.parameters:
        console.print()
        console.print(_parameters(told), soft_wrap=False, crop=False)


def _lines(told: Description) -> Iterator[tuple[str, str]]:
    """Yield what is known, each with its name."""
    if told.missing:
        yield "cannot be used here", told.missing
    if told.reference:
        yield "source", told.reference
    if told.cost:
        yield "cost", told.cost
    if told.passes:
        yield "passes for one image of 96x96", told.passes
    yield from told.facts.items()
    for text in told.ids.values():
        yield ("protocol id" if told.kind == "metric" else "its id in tables"), text
    yield "comes from", told.origin
    if not told.parameters and not told.missing:
        yield "parameters", "none"


def _parameters(told: Description) -> Table:
    from xaibench.config.parameters import REQUIRED

    table = Table("parameter", "default", "what it may be", box=None, pad_edge=False)
    for name, parameter in told.parameters.items():
        default = parameter.default
        said = "(none: must be set)" if default is REQUIRED else json.dumps(default)
        table.add_row(Text(name), Text(said), Text(parameter.allowed))
    return table
