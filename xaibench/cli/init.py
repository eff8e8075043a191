"""The command ``init``: a config to begin with, for one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def init(
    place: Annotated[
        Path, typer.Argument(metavar="PLACE", help="a folder of images, a table, or arrays")
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="where a table's images lie; default beside"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="the config; default PLACE.yaml here"),
    ] = None,
) -> None:
    """Look at your own images and write a config that runs as it is; say what was taken for what.

    Nothing is overwritten.
    """
    from xaibench.atomic import check_writable, write_text
    from xaibench.config.draft import draft, slug
    from xaibench.errors import UserError
    from xaibench.imaging.recognition.recognise import recognise

    name = slug(place.resolve().stem if place.is_file() else place.resolve().name)
    file = to or Path(f"{name}.yaml")
    if file.exists():
        raise UserError(f"{file} is there already, and nothing is overwritten; say --to FILE")
    check_writable(file.parent, "--to")
    guess = recognise(place, images)
    text = draft(name, guess)
    write_text(file, text)
    print("\n".join([f"wrote {file}:", "", text]))
    print("\n".join(f"Taken: {line}" for line in guess.took))
    for line in guess.unsure:
        print(f"Unsure: {line}")
    print(f"\nNext:\n  xaibench data check {file}\n  xaibench run {file}")
