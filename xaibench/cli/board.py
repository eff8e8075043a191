"""Commands on finished runs: ``leaderboard``, ``compare``, ``report`` and ``figures``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xaibench.atomic import check_writable, write_text
from xaibench.cli.options import Formats, chosen_formats
from xaibench.progress import for_terminal

app = typer.Typer()


@app.command()
def leaderboard(
    folders: Annotated[list[Path], typer.Argument(help="folders of finished runs")],
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="M", help="only this metric; repeatable"),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="a table for each target, or for each finding")
    ] = None,
    ending: Annotated[
        str | None, typer.Option("--format", help="print md (the default), tex or csv")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="where the tables go")
    ] = None,
) -> None:
    """Merge runs into one leaderboard (csv, md, tex); refuses to merge different protocols.

    A part of it, or another format, is printed; files are written with --out alone.
    """
    from xaibench.leaderboards.board import make
    from xaibench.leaderboards.views import View, chosen_format, shown

    if out:
        check_writable(out, "--out")
    if not (metrics or by or ending):
        print(make(*folders, out=out))
        return
    kind = chosen_format(ending or "md")
    texts = shown(folders, View(tuple(metrics or ()), by))
    name = "leaderboard" + (f"_by_{by}" if by else "")
    for each, text in texts.items() if out else ():
        if ending in (None, each):
            write_text(out / f"{name}.{each}", text)
    print(texts[kind], end="")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="folder of a finished run")],
    second: Annotated[Path, typer.Argument(help="folder of another")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="where the tables go")
    ] = None,
) -> None:
    """Say what two runs differ in: config, data, code, and their scores, paired by image."""
    from xaibench.leaderboards.comparison import compare, markdown, write
    from xaibench.store.finished import FinishedRun

    if out:
        check_writable(out, "--out")
    found, names = compare(FinishedRun(first), FinishedRun(second)), (str(first), str(second))
    if out:
        write(found, names, out)
    print(markdown(found, names))


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="folder of a finished run")]) -> None:
    """Make leaderboard, figures and report.html of a run's tables anew.

    Figures are drawn as PNG, and in the formats in which they are there.
    """
    from xaibench.figures.draw import drawn_formats
    from xaibench.runs.present import present
    from xaibench.store.seal import resealed

    if folder.is_dir():
        check_writable(folder, "report")
    with for_terminal() as progress, resealed(folder):
        present(folder, progress, dict.fromkeys(["png", *drawn_formats(folder)]))
    print(f"Report: {folder / 'report.html'}")


@app.command()
def figures(
    folder: Annotated[Path, typer.Argument(help="folder of a finished run")],
    formats: Formats = None,
) -> None:
    """Draw a run's figures in another format: pdf or svg, for a paper."""
    asked = chosen_formats(formats)
    from xaibench.figures.draw import draw_all
    from xaibench.leaderboards.board import ScoredRun

    run = ScoredRun(folder)
    check_writable(folder, "figures")
    with for_terminal() as progress:
        written = draw_all(run, progress, asked)
    print(f"Figures: {len(written)} in {folder / 'figures'}")
