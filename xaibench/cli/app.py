"""The command line: prints and exit codes, nothing else; a file for each group of commands.

torch is imported by the commands that need it, so that the others answer at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import click
import typer
import typer.core

from xaibench import __version__
from xaibench.atomic import refusal
from xaibench.cli import board, check, data, init, new, plugins, run, show, verify
from xaibench.errors import PluginError, UserError


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
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (
    run.app,
    init.app,
    plugins.app,
    show.app,
    new.app,
    check.app,
    board.app,
    verify.app,
):
    app.add_typer(commands)
app.add_typer(data.app, name="data")


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"xaibench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="print it and stop"),
    ] = False,
) -> None:
    """Benchmark explanations of medical image classifiers."""


def main() -> None:
    """Run the command line; mistakes of the user are one line and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"xaibench: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # such as a full disk; another one is a mistake of ours
        if (told := refusal(error)) is None:
            raise
        print(f"xaibench: {told}", file=sys.stderr)
        sys.exit(2)
    except PluginError as error:
        print(f"xaibench: a plugin breaks its contract: {error}", file=sys.stderr)
        sys.exit(1)
