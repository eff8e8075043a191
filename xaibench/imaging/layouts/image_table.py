"""A table of images and what it says of each: which rows count, where files are, what labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.image_files import why_unreadable
from xaibench.imaging.label_columns import LabelColumns, Labelled, labels_of
from xaibench.imaging.layouts.folders import SPLIT_FOLDERS
from xaibench.imaging.picture_files import find_pictures
from xaibench.imaging.spelling import alike, as_spelled, is_there
from xaibench.imaging.tables import read_table
from xaibench.progress import Progress

_ANYWHERE = "**/"
_STEP = 1000  # rows between two reports of progress
_LOOKED = 1000  # rows by which the leading folders are told
_HINTED = 3  # files that are not there, of which one alike is looked for


@dataclass(frozen=True)
class TableColumns:
    """What stands where in a table of images.

    Attributes:
        path: the column of images' names.
        labels: where labels stand.
        file: an image's path below the root, with the cell of ``path`` for ``{}``.
        only: column -> the cells whose rows count.
        others: columns that there must be besides.
    """

    path: str
    labels: LabelColumns
    file: str = "{}"
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    others: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class ImageRows:
    """The rows of a table that count, in its order.

    Attributes:
        table: as it was read, with the column `PATH`; the index is the line.
        labelled: the labels of these rows.
        read: how many rows the table has.
    """

    table: pd.DataFrame
    labelled: Labelled
    read: int


PATH = "path below the root"
"""The column of `ImageRows.table` that is added."""


def read_images(root: Path, file: Path, asked: TableColumns, progress: Progress) -> ImageRows:
    """Return the rows of a table whose labels can be used, with the path of each one's image.

    The first folders of all paths are left out where only then files are there, as those of the
    computer on which the table was written.

    Raises:
        UserError: a table that cannot be read or lacks a column, no row that counts, a row without
            a path, a label that is none.
    """
    columns = [asked.path, *asked.labels.columns, *asked.only, *asked.others]
    every = read_table(file, columns)
    table = _only(every, asked.only, file)
    labelled = labels_of(table, asked.labels, file)
    table = table[labelled.kept]
    if table.empty:
        raise UserError(f"{file}: no row has a label that can be used")
    return ImageRows(table.assign(**{PATH: _paths(root, table, asked, file, progress)}), labelled,
                     len(every))  # fmt: skip


def unreadable_files(root: Path, table: pd.DataFrame, file: Path, progress: Progress) -> list[str]:
    """Return for each of the rows why its image's file cannot be read: "" where it can."""
    bad, hinted = [], 0
    with progress.stage(f"Looking for the images of {file.name}", len(table)) as advance:
        for done, (line, path) in enumerate(table[PATH].items(), 1):
            reason = why_unreadable(root / path) or ""
            if reason == "is not there" and hinted < _HINTED:
                hinted += 1
                near = alike(root / path)
                reason += f", but {near} is" if near else ""
            bad.append(reason and f"{reason} (line {line} of {file.name})")
            if done % _STEP == 0:
                advance(_STEP)
    return bad


def splits_of(table: pd.DataFrame, column: str, file: Path) -> list[str]:
    """Return the split of each row: train, valid or test, called as folders of splits may be."""
    splits = []
    for line, cell in table[column].items():
        split = SPLIT_FOLDERS.get(str(cell).strip().lower())
        if split is None:
            hint = did_you_mean(str(cell), SPLIT_FOLDERS)
            raise UserError(f"{file}:{line}: {column!r} is {cell!r}{hint}")
        splits.append(split)
    if lacking := {"train", "test"} - set(splits):
        raise UserError(
            f"split: {column!r} names no row of {min(lacking)}; leave split out to draw it"
        )
    return splits


def _only(table: pd.DataFrame, only: Mapping[str, Sequence[str]], file: Path) -> pd.DataFrame:
    for column, values in only.items():
        wanted = {value.casefold() for value in values}
        kept = table[table[column].str.casefold().isin(wanted)]
        if kept.empty:
            there = table[column].dropna().unique()
            raise UserError(
                f"{file}: has no row whose {column!r} is {' or '.join(values)}"
                f"{did_you_mean(values[0], there) if len(there) < 20 else ''}"
            )
        table = kept
    return table


def _paths(
    root: Path, table: pd.DataFrame, asked: TableColumns, file: Path, progress: Progress
) -> list[str]:
    if (empty := table[asked.path].isna()).any():
        raise UserError(f"{file}:{empty.idxmax()}: has nothing in {asked.path!r}; fill it in")
    if asked.file.startswith(_ANYWHERE):
        named = [
            asked.file.removeprefix(_ANYWHERE).replace("{}", cell) for cell in table[asked.path]
        ]
        places = by_name(root, find_pictures(root), named)
        return [places.get(name, name) for name in named]
    parts = [parts_below(asked.file.replace("{}", cell)) for cell in table[asked.path]]
    found = (
        drop
        for own in parts[:_LOOKED]
        for drop in range(len(own))
        if is_there(root.joinpath(*own[drop:]))
    )
    if drop := next(found, 0):
        first = next(own for own in parts if len(own) > drop)
        progress.say(
            f"{file.name}: the first {drop} folders of its paths ({'/'.join(first[:drop])}) are "
            f"not below {root}, and left out"
        )
    paths = ("/".join(own[drop:] if len(own) > drop else own) for own in parts)
    return [as_spelled(root, path) for path in paths]


def by_name(root: Path, files: Sequence[Path], named: Iterable[str]) -> dict[str, str]:
    """Return the name of a file -> its path below the root.

    Raises:
        UserError: one of those named lies in two places.
    """
    places: dict[str, str] = {}
    asked = set(named)
    for file in files:
        path = file.relative_to(root).as_posix()
        if file.name in places and file.name in asked:
            raise UserError(
                f"{root}: {file.name} lies in two places, {places[file.name]} and {path}; remove "
                "the copy"
            )
        places[file.name] = path
    return places


def parts_below(path: str) -> tuple[str, ...]:
    """Return a path's parts behind its root and the last ``..``, so that it leads nowhere else."""
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part != "/"]
    behind = len(parts) - parts[::-1].index("..") if ".." in parts else 0
    return tuple(parts[behind:])
