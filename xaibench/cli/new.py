"""The command ``new``: files of a plugin to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from xaibench.checks.starter import Starter

app = typer.Typer()


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="explainer, metric, model, dataset")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="in small letters, such as my_method")
    ],
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="where it is written; default here")
    ] = None,
    package: Annotated[
        bool, typer.Option("--package", help="an installable package, in a folder of its name")
    ] = False,
) -> None:
    """Write a plugin that works as it is, its test, and a config that runs at once."""
    starter = Starter(kind, name, package)
    place = folder or Path()
    if package:
        place /= name
    for file in starter.write(place):
        print(f"wrote {file}")
    print("\nNext:")
    steps = [f"xaibench check {name if package else f'{name}.py'}", f"xaibench run {name}.yaml"]
    steps += ["pip install -e ."] if package else [f"python -m pytest test_{name}.py"]
    if package:  # before it is installed, nobody finds it
        steps.insert(0, steps.pop())
    if place != Path():
        print(f"  cd {shlex.quote(str(place))}")
    for step in steps:
        print(f"  {step}")
