"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="a YAML file, see configs/")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="override a value of the config; repeatable"),
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="where results go")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda or cuda:N")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="a plugin file beside the installed ones")
]


def said(overrides: list[str] | None, device: str | None) -> list[str]:
    """Return what the command line sets of a config."""
    return [*(overrides or []), *([f"device={device}"] if device else [])]
