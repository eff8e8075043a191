"""The command on all plugins: ``list``."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from xaibench.cli.options import Plugins

app = typer.Typer()


@app.command("list")
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    kind: Annotated[
        str | None, typer.Option(help="only dataset, model, explainer or metric")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """List every plugin: kind, name, what it is, where it comes from."""
    from xaibench.errors import UserError, did_you_mean
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
    table = Table("kind", Column("name", no_wrap=True), "what", "source", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
