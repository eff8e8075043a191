"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from xaibench.errors import UserError, did_you_mean
from xaibench.types import FigureFormat

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
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", metavar="FORMAT", help="png (the default), pdf or svg; repeatable"),
]


def chosen_formats(named: list[str] | None) -> tuple[FigureFormat, ...]:
    """Return the formats of figures, png where none is named; UserError for one that is not."""
    for name in named or ():
        if name not in get_args(FigureFormat):
            hint = did_you_mean(name, get_args(FigureFormat))
            raise UserError(f"--format: unknown {name!r}{hint}")
    return tuple(dict.fromkeys(named or ("png",)))


def said(overrides: list[str] | None, device: str | None) -> list[str]:
    """Return what the command line sets of a config."""
    return [*(overrides or []), *([f"device={device}"] if device else [])]
