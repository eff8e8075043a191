"""A table of images as somebody has it: which column is what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.layouts.folders import SPLIT_FOLDERS
from xaibench.imaging.recognition.guess import Guess
from xaibench.imaging.recognition.image_column import ImageColumn, find_image_column
from xaibench.imaging.recognition.labels import take_labels
from xaibench.imaging.recognition.names import BOXES, MASKS, PATIENT, bare, called
from xaibench.imaging.recognition.patient_names import take_patients
from xaibench.imaging.tables import read_table

TABLES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".parquet"})
_MEND = "if a column tells it, add group: COLUMN, if names do, patient: REGEX"


def guess_table(file: Path, images: Path | None = None) -> Guess:
    """Return what a table is of.

    Args:
        images: the folder below which its images lie; None for the table's.

    Raises:
        UserError: no column names images, or none says what they show.
    """
    table = read_table(file)
    column = find_image_column(table, file, images or file.parent)
    guess = Guess({"use": "image_table", "root": column.root.as_posix()})
    guess.settings["table"] = file.as_posix()
    _take_images(guess, column, len(table))
    names = [name for name in table if name != column.name]
    boxes = _boxes(names)
    names = [name for name in names if name not in boxes]
    splits = [name for name in names if _is_split(table[name])]
    if splits:
        guess.settings["split"] = splits[0]
        guess.took.append(f"splits: the column {splits[0]!r}")
    if patients := called(names, PATIENT):
        guess.settings["group"] = patients[0]
        guess.took.append(f"patients: the column {patients[0]!r}")
        _say_others(guess, "group", patients)
        if empty := int(table[patients[0]].isna().sum()):
            raise UserError(f"{file}: {patients[0]!r} is empty in {empty} rows; fill it in")
    else:
        named = table[table[column.name].notna()]
        given = named[splits[0]].tolist() if splits else None
        take_patients(guess, column.root, column.paths(named), given, _MEND)
    if masks := [name for name in called(names, MASKS) if table[name].notna().any()]:
        guess.settings["mask"] = masks[0]
        guess.took.append(f"masks of the evidence: the column {masks[0]!r}")
    elif boxes:
        guess.settings["boxes"] = list(boxes)
        guess.took.append(f"boxes of the evidence: {', '.join(boxes)}")
    if not boxes and (twice := table[column.name].dropna().duplicated()).any():
        raise UserError(
            f"{file}: line {twice.idxmax()}: {table[column.name][twice.idxmax()]!r} stands there "
            "twice; keep one row of each image"
        )
    taken = {*patients, *splits, *masks}
    left = [name for name in names if name not in taken and table[name].notna().any()]
    take_labels(guess, table, left, str(file))
    return guess


def _take_images(guess: Guess, column: ImageColumn, rows: int) -> None:
    guess.settings["path"] = column.name
    if column.pattern != "{}":
        guess.settings["file"] = column.pattern
    where = f"{column.root}/{column.pattern.replace('{}', f'<{column.name}>')}"
    guess.took.append(f"images: {where} ({rows} rows)")
    if column.lost:
        guess.settings["allowed_bad"] = math.ceil(len(column.lost) / rows * 1000) / 1000
        guess.unsure.append(
            f"{len(column.lost)} rows have no image, such as {column.lost[0]!r}; allowed_bad lets "
            "so many be left out"
        )


def _boxes(names: Sequence[str]) -> tuple[str, ...]:
    there = {bare(name): name for name in names}
    return next((tuple(there[b] for b in box) for box in BOXES if {*box} <= there.keys()), ())


def _is_split(cells: pd.Series) -> bool:
    splits = {SPLIT_FOLDERS.get(str(cell).strip().lower()) for cell in cells.unique()}
    return None not in splits and {"train", "test"} <= splits


def _say_others(guess: Guess, key: str, found: Sequence[str]) -> None:
    if len(found) > 1:
        guess.unsure.append(f"{key}: might be {' or '.join(found[1:])} as well")
