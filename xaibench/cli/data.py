"""The commands on data sets, usable before any training: prints, files and exit codes.

A data set's parameters are set and checked as in a config. No command imports torch.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xaibench.atomic import check_writable, write_text
from xaibench.cli.options import Formats, Plugins, chosen_formats
from xaibench.progress import for_terminal

if TYPE_CHECKING:  # help and messages need not wait for it
    from xaibench.datasets.base import Dataset
    from xaibench.types import Data

app = typer.Typer(
    help="Look at a data set before any training: get, stats, prepare, split, check.",
    no_args_is_help=True,
)

SHEET, PAIRS, STAGES = 24, 8, 4  # images in the figures
NAMED = 10  # bad files, patients or pictures that are printed; the files name all of them


@dataclasses.dataclass(frozen=True)
class Request:
    """Which data set a command is about, and where files go."""

    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CONFIG", help="a data set of `xaibench list`, or a YAML file with one"
        ),
    ]
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="the data set's parameter `root`")
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="any parameter of the data set; repeatable"
        ),
    ] = None
    plugins: Plugins = None
    said_seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="of every random draw; default the config's, or 42"),
    ] = None
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="what is kept; `run` looks in OUT/cache")
    ] = Path("results/cache")
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="where files go; default results/data/TRUE_NAME"),
    ] = None

    @property
    def seed(self) -> int:
        from xaibench.config.reading import is_config, seed_of

        if self.said_seed is not None:
            return self.said_seed
        return seed_of(Path(self.name)) if is_config(self.name) else 42

    def dataset(self, with_files: bool = True) -> Dataset:
        from xaibench.config.reading import load_dataset

        settings, plugins = self.settings or (), self.plugins or ()
        return load_dataset(self.name, self.root, settings, plugins, with_files=with_files)

    def data(self) -> Data:
        self.check_folders()
        seed = self.seed  # before the files are looked at, as a config's mistakes are
        with for_terminal() as progress:
            return self.dataset().open(seed=seed, cache=self.cache, progress=progress)

    def check_folders(self) -> None:
        """Raise UserError where files cannot go where they shall."""
        check_writable(self.cache, "--cache")
        check_writable(self.out or Path("results/data"), "--out")

    def folder(self, true_name: str) -> Path:
        return self.out or Path("results/data") / true_name


def _command(without: Collection[str] = ()) -> Callable[[Callable], Callable]:
    """Make a command of a function of a Request, whose fields become options of the command."""

    def register(function: Callable) -> Callable:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = inspect.signature(Request, eval_str=True).parameters.values()
        names = {parameter.name for parameter in own}

        def command(**given: object) -> None:
            asked = Request(**{k: v for k, v in given.items() if k not in names})
            function(asked, **{k: v for k, v in given.items() if k in names})

        command.__signature__ = inspect.Signature(
            [*(p for p in shared if p.name not in without), *own]
        )
        app.command(function.__name__, help=inspect.getdoc(function))(command)
        return function

    return register


@_command(without=("said_seed", "out"))
def get(asked: Request) -> None:
    """Fetch a data set's files where that can be done, else say where and how they are had."""
    with for_terminal() as progress:
        said = asked.dataset(with_files=False).get(asked.cache, progress)
    print(said)


@_command()
def stats(
    asked: Request,
    masks_only: Annotated[
        bool, typer.Option("--masks-only", help="a sheet of images that have a mask")
    ] = False,
    formats: Formats = None,
) -> None:
    """Count images, patients and labels of each split; draw a sheet of random images."""
    endings = chosen_formats(formats)
    from xaibench.figures import sheet
    from xaibench.figures.base import save
    from xaibench.imaging.inspection import samples, survey
    from xaibench.leaderboards.markdown import page
    from xaibench.store.finished import true_name

    data = asked.data()
    with for_terminal() as progress:
        sample = samples.draw_sample(data, SHEET, asked.seed, progress, masked=masks_only)
    folder, called = asked.folder(data.name), true_name(data.name)
    table = survey.label_table(data)
    shown, notes = survey.readable(table), survey.notes(data)
    rows = shown.itertuples(index=False)
    write_text(folder / "stats.csv", table.to_csv(index=False))
    write_text(folder / "stats.md", page(called, list(shown.columns), rows, notes, numbers=False))
    _print(data, notes)
    if len(sample.table):
        heading = f"{called}: {len(sample.table)} random images"
        heading += " that have a mask" * masks_only + f", seed {asked.seed}"
        figure = sheet.draw(sample.images, sample.table, sample.masks, heading)
        save(figure, folder, "sheet_masks" if masks_only else "sheet", endings)
    else:
        print("No image has a mask: no sheet is drawn.")
    print(f"Written: {folder}")


@_command()
def prepare(asked: Request, formats: Formats = None) -> None:
    """Crop and resize a data set's images into the cache; draw before and after, and the stages."""
    endings = chosen_formats(formats)
    from xaibench.figures import preprocessing
    from xaibench.figures.base import save
    from xaibench.imaging.inspection.stages import draw_stages
    from xaibench.imaging.inspection.survey import file_table
    from xaibench.store.finished import true_name

    data = asked.data()
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
    stages = draw_stages(data, table, PAIRS, asked.seed)
    folder, resize = asked.folder(data.name), stages[0].options.resize
    mode = "own_size" if resize is None else resize.mode
    heading = f"{true_name(data.name)}, {f'resized by {mode}' if resize else 'as they are'}: {said}"
    for name, figure in (
        ("before_after", preprocessing.draw_before_after(stages, heading)),
        ("stages", preprocessing.draw_stages(stages[:STAGES], heading)),
    ):
        save(figure, folder, f"{name}_{mode}", endings)
    print(f"Written: {folder}")


@_command()
def split(asked: Request) -> None:
    """Count patients and labels of each split and write manifests; exit code 1 for an overlap."""
    from xaibench.imaging.inspection import survey
    from xaibench.imaging.splits import write_manifests

    data = asked.data()
    _print(data, survey.notes(data))
    twice = survey.groups_in_two_splits(data)
    print(f"Patients in two splits: {len(twice)}")
    if len(twice):
        _list(f"{row.group} is in {row.splits}" for row in twice.itertuples())
        print("No manifests are written: split by patient.")
        raise typer.Exit(1)
    folder = asked.folder(data.name)
    write_manifests(folder, survey.manifest_table(data))
    print(f"Written: {folder}")


@_command()
def check(
    asked: Request,
    allowed_bad: Annotated[
        float, typer.Option(min=0, max=1, help="the share of files that may be bad")
    ] = 0.0,
) -> None:
    """Read every file; name the bad ones, and what may be wrong with splits, labels and patients.

    Exit code 1 where the share of bad files is not allowed.
    """
    import pandas as pd

    from xaibench.imaging.inspection.odd_pictures import odd_pictures
    from xaibench.imaging.inspection.survey import groups_in_two_splits
    from xaibench.imaging.inspection.warnings import SOUND, warnings_of

    asked.check_folders()
    dataset = asked.dataset()
    if any(field.name == "allowed_bad" for field in dataclasses.fields(dataset)):
        # Every bad file is to be named; how many may be is judged here.
        dataset = dataclasses.replace(dataset, allowed_bad=1.0)
    with for_terminal() as progress:
        data = dataset.open(seed=asked.seed, cache=asked.cache, progress=progress)
        odd = odd_pictures(data, progress)
    found = data.facts.get("bad_files", {})
    bad = pd.DataFrame(found.items(), columns=["path", "reason"])
    folder = asked.folder(data.name)
    tables = {"bad": bad, "blank": odd.blank, "duplicates": odd.twice}
    tables |= {"contradictory": odd.contradictory, "patients": groups_in_two_splits(data)}
    for file, table in tables.items():
        write_text(folder / f"{file}.csv", table.to_csv(index=False))
    total = len(bad) + sum(map(len, data.splits.values()))
    print(f"{data.name}: {len(bad)} of {total} images are bad (allowed: {allowed_bad:.1%})")
    _list(f"{row.path}: {row.reason}" for row in bad.itertuples())
    warned = warnings_of(data, odd)
    for warning in warned:
        print(f"Warning: {warning.what}")
        _list(warning.cases)
    if not warned:
        print(SOUND)
    print(f"Written: {folder}")
    if len(bad) > allowed_bad * total:
        raise typer.Exit(1)


def _print(data: Data, notes: Iterable[str]) -> None:
    from xaibench.imaging.inspection.overview import headline, overview

    print(headline(data))
    print(overview(data).to_string())
    for note in notes:
        print(note)


def _list(lines: Iterable[str]) -> None:
    lines = list(lines)
    for line in lines[:NAMED]:
        print(f"  {line}")
    if len(lines) > NAMED:
        print(f"  and {len(lines) - NAMED} more")
