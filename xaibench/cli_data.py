"""The commands on data sets, usable before any training: prints, files and exit codes.

A data set's parameters are set and checked as in a config. No command imports torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xaibench.atomic import replacing
from xaibench.progress import for_terminal

if TYPE_CHECKING:  # help and messages need not wait for it
    import pandas as pd

app = typer.Typer(
    help="Look at a data set before any training: get, stats, prepare, split, check.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="see `xaibench list --kind dataset`")]
Root = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="the data set's parameter `root`")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="any parameter, as in a config; repeatable"),
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="a plugin file beside the installed ones")
]
Seed = Annotated[int, typer.Option(min=0, help="of every random draw")]
Cache = Annotated[
    Path, typer.Option("--cache", metavar="DIR", help="what is kept; `run` looks in OUT/cache")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="where files go; default results/data/TRUE_NAME"),
]
CACHE = Path("results/cache")
SHEET, PAIRS, STAGES = 24, 8, 4  # images in the figures
NAMED = 10  # bad files, patients or pictures that are printed; the files name all of them


@app.command()
def get(
    name: Name,
    root: Root = None,
    settings: Settings = None,
    plugins: Plugins = None,
    cache: Cache = CACHE,
) -> None:
    """Fetch a data set's files where that can be done, else say where and how they are had."""
    from xaibench.config import load_dataset

    dataset = load_dataset(name, root, settings or (), plugins or (), with_files=False)
    with for_terminal() as progress:
        said = dataset.get(cache, progress)
    print(said)


@app.command()
def stats(
    name: Name,
    root: Root = None,
    settings: Settings = None,
    plugins: Plugins = None,
    seed: Seed = 42,
    cache: Cache = CACHE,
    out: Out = None,
    masks_only: Annotated[
        bool, typer.Option("--masks-only", help="a sheet of images that have a mask")
    ] = False,
) -> None:
    """Count images, patients and labels of each split; draw a sheet of random images."""
    from xaibench.config import load_dataset
    from xaibench.datasets import samples, survey
    from xaibench.figures import sheet
    from xaibench.figures.base import save
    from xaibench.tables import true_name

    dataset = load_dataset(name, root, settings or (), plugins or ())
    with for_terminal() as progress:
        data = dataset.open(seed=seed, cache=cache, progress=progress)
        sample = samples.draw_sample(data, SHEET, seed, progress, masked=masks_only)
    folder = _folder(out, data.name)
    table = survey.label_table(data)
    shown, notes = survey.readable(table), survey.notes(data)
    _write(folder / "stats.csv", table.to_csv(index=False))
    _write(folder / "stats.md", survey.markdown(shown, true_name(data.name), notes))
    _print(shown, notes)
    if len(sample.table):
        heading = f"{true_name(data.name)}: {len(sample.table)} random images"
        heading += " that have a mask" * masks_only + f", seed {seed}"
        figure = sheet.draw(sample.images, sample.table, sample.masks, heading)
        save(figure, folder, "sheet_masks" if masks_only else "sheet")
    else:
        print("No image has a mask: no sheet is drawn.")
    print(f"Written: {folder}")


@app.command()
def prepare(
    name: Name,
    root: Root = None,
    settings: Settings = None,
    plugins: Plugins = None,
    seed: Seed = 42,
    cache: Cache = CACHE,
    out: Out = None,
) -> None:
    """Crop and resize a data set's images into the cache; draw before and after, and the stages."""
    from xaibench.config import load_dataset
    from xaibench.datasets.stages import draw_stages
    from xaibench.datasets.survey import file_table
    from xaibench.figures import preprocessing
    from xaibench.figures.base import save
    from xaibench.tables import true_name

    dataset = load_dataset(name, root, settings or (), plugins or ())
    with for_terminal() as progress:
        data = dataset.open(seed=seed, cache=cache, progress=progress)
    height, width = data.size
    table = file_table(data)
    if table is None:
        print(f"{data.name}: images are used as stored, {height}x{width}; nothing is prepared")
        return
    said = (
        f"{len(table)} images at {height}x{width}, {table['cropped'].mean():.1%} cropped, "
        f"median area removed {table['removed'].median():.1%}"
    )
    print(f"{data.name}: {said}")
    stages = draw_stages(data, table, PAIRS, seed)
    folder, mode = _folder(out, data.name), stages[0].options.resize.mode
    heading = f"{true_name(data.name)}, resized by {mode}: {said}"
    save(preprocessing.draw_before_after(stages, heading), folder, f"before_after_{mode}")
    save(preprocessing.draw_stages(stages[:STAGES], heading), folder, f"stages_{mode}")
    print(f"Written: {folder}")


@app.command()
def split(
    name: Name,
    root: Root = None,
    settings: Settings = None,
    plugins: Plugins = None,
    seed: Seed = 42,
    cache: Cache = CACHE,
    out: Out = None,
) -> None:
    """Count patients and labels of each split and write manifests; exit code 1 for an overlap."""
    from xaibench.config import load_dataset
    from xaibench.datasets import survey
    from xaibench.datasets.splits import write_manifests

    dataset = load_dataset(name, root, settings or (), plugins or ())
    with for_terminal() as progress:
        data = dataset.open(seed=seed, cache=cache, progress=progress)
    shown = survey.readable(survey.label_table(data))
    _print(shown.drop(columns=["height", "width"]), survey.notes(data))
    twice = survey.groups_in_two_splits(data)
    print(f"Patients in two splits: {len(twice)}")
    if len(twice):
        _list(f"{row.group} is in {row.splits}" for row in twice.itertuples())
        print("No manifests are written: split by patient.")
        raise typer.Exit(1)
    folder = _folder(out, data.name)
    write_manifests(folder, survey.manifest_table(data))
    print(f"Written: {folder}")


@app.command()
def check(
    name: Name,
    root: Root = None,
    settings: Settings = None,
    plugins: Plugins = None,
    seed: Seed = 42,
    cache: Cache = CACHE,
    out: Out = None,
    allowed_bad: Annotated[
        float, typer.Option(min=0, max=1, help="the share of files that may be bad")
    ] = 0.0,
) -> None:
    """Read every file and name the bad ones; exit code 1 where their share is not allowed."""
    import pandas as pd

    from xaibench.config import load_dataset
    from xaibench.datasets.inspection import odd_pictures

    dataset = load_dataset(name, root, settings or (), plugins or ())
    if any(field.name == "allowed_bad" for field in dataclasses.fields(dataset)):
        # Every bad file is to be named; how many may be is judged here.
        dataset = dataclasses.replace(dataset, allowed_bad=1.0)
    with for_terminal() as progress:
        data = dataset.open(seed=seed, cache=cache, progress=progress)
        blank, twice = odd_pictures(data, progress)
    found = data.facts.get("bad_files", {})
    bad = pd.DataFrame(found.items(), columns=["path", "reason"])
    folder = _folder(out, data.name)
    for file, table in {"bad": bad, "blank": blank, "duplicates": twice}.items():
        _write(folder / f"{file}.csv", table.to_csv(index=False))
    total = len(bad) + sum(map(len, data.splits.values()))
    print(f"{data.name}: {len(bad)} of {total} images are bad (allowed: {allowed_bad:.1%})")
    _list(f"{row.path}: {row.reason}" for row in bad.itertuples())
    if len(blank):
        print(f"Warning: blank pictures: {len(blank)}")
        _list(f"{row.id} ({row.split})" for row in blank.itertuples())
    if len(twice):
        same = twice.groupby("picture")
        print(f"Warning: pictures in more than one split: {len(same)}")
        _list(", ".join(f"{r.id} ({r.split})" for r in rows.itertuples()) for _, rows in same)
    print(f"Written: {folder}")
    if len(bad) > allowed_bad * total:
        raise typer.Exit(1)


def _folder(out: Path | None, name: str) -> Path:
    return out or Path("results/data") / name


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")


def _print(table: pd.DataFrame, notes: Iterable[str]) -> None:
    print(table.to_string(index=False))
    for note in notes:
        print(note)


def _list(lines: Iterable[str]) -> None:
    lines = list(lines)
    for line in lines[:NAMED]:
        print(f"  {line}")
    if len(lines) > NAMED:
        print(f"  and {len(lines) - NAMED} more")
