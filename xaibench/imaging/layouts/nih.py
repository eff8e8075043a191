"""The tables of NIH ChestX-ray14: which image shows what, whose it is, and the boxes drawn on some.

Read row by row, so that a mistake is named by its line.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.label_columns import named_in
from xaibench.imaging.tables import read_table, rows_of

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis",
    "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
SHORTCUT_FINDING = "Pneumothorax"
"""The finding that a planted marker goes with."""
ENTRIES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
BOXES = "BBox_List_2017.csv"
HOW = (
    "fetch the images and tables by hand from the NIH Clinical Center's ChestX-ray14 folder "
    "(nihcc.app.box.com/v/ChestXray-NIHCC) or Kaggle's nih-chest-xrays/data, and unpack images, "
    f"{ENTRIES[0]} and {BOXES} below one folder"
)
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
NO_FINDING = "No Finding"
BOX_SIDE = 1024
"""Pixels along a side of the images that the boxes were drawn on."""
BOX_COLUMNS = ("image", "finding", "x", "y", "w", "h")
_KNOWN = {NO_FINDING, *FINDINGS}
_NEEDED = ("Image Index", "Finding Labels", "Patient ID")
_BOX_NEEDED = ["Image Index", "Finding Label"]
_BOX_NAMES = {"Infiltrate": "Infiltration"}


def read_entries(file: Path) -> pd.DataFrame:
    """Return one row an image: ``image``, ``patient``, a bool for each of the fourteen findings.

    Other columns of the file are kept as text under their own names.

    Raises:
        UserError: a column is missing; a row (named by its line) lacks a value, names an unknown
            finding or ``No Finding`` beside one, or is the second of its image.
    """
    table = read_table(file, _NEEDED)
    for name in _NEEDED:
        if (empty := table[name].isna()).any():
            raise UserError(f"{file}:{empty.idxmax()}: {name!r} is empty")
    images = table["Image Index"]
    if (twice := images.duplicated()).any():
        image = images[twice].iloc[0]
        first = (images == image).idxmax()
        raise UserError(f"{file}:{twice.idxmax()}: {image} stands in line {first} already")
    named = named_in(table["Finding Labels"], "|")
    for line, image, names in zip(table.index, images, named, strict=True):
        _check_findings(names, f"{file}:{line}", image)
    shown = {name: [name in names for names in named] for name in FINDINGS}
    called = {"Image Index": "image", "Patient ID": "patient"}
    found = table.drop(columns="Finding Labels").rename(columns=called).assign(**shown)
    return found.reset_index(drop=True)


def _check_findings(names: set[str], where: str, image: str) -> None:
    if names - _KNOWN:
        name = min(names - _KNOWN)
        hint = did_you_mean(name, [NO_FINDING, *FINDINGS])
        raise UserError(f"{where}: unknown finding {name!r} of {image}{hint}")
    if NO_FINDING in names and len(names) > 1:
        raise UserError(
            f"{where}: {image} has {NO_FINDING!r} beside findings: {'|'.join(sorted(names))}"
        )


def read_boxes(file: Path) -> pd.DataFrame:
    """Return one row a box: ``image``, ``finding``, ``x``, ``y``, ``w``, ``h``.

    ``x, y`` is the upper left corner and ``w, h`` the width and height, in pixels of an image of
    1,024x1,024. The four numbers stand in columns of their own, or in one as ``[x, y, w, h]``.
    """
    rows = rows_of(file, _BOX_NEEDED)
    _, header = next(rows)
    if [name.strip() for name in header[:2]] != _BOX_NEEDED:
        raise UserError(
            f"{file}: must begin with the columns Image Index, Finding Label, Bbox [x, y, w, h]; "
            f"begins with {', '.join(header[:3]) or 'nothing'}"
        )
    records = []
    for line, cells in rows:
        where = f"{file}:{line}"
        image, name = cells[0].strip(), cells[1].strip() if len(cells) > 1 else ""
        finding = _BOX_NAMES.get(name, name)
        if finding not in FINDINGS:
            hint = did_you_mean(name, FINDINGS)
            raise UserError(f"{where}: unknown finding {name!r} of {image}{hint}")
        box = _numbers(cells[2:])
        if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
            raise UserError(
                f"{where}: the box of {image} must be four numbers x, y, w, h with w and h above "
                f"0; is {', '.join(filter(None, cells[2:])) or 'empty'}"
            )
        x, y, w, h = box
        if max(x, y) >= BOX_SIDE or min(x + w, y + h) <= 0:
            raise UserError(
                f"{where}: the box of {image} lies outside of {BOX_SIDE}x{BOX_SIDE} pixels: {box}"
            )
        records.append({"image": image, "finding": finding, "x": x, "y": y, "w": w, "h": h})
    return pd.DataFrame(records, columns=BOX_COLUMNS)


def _numbers(cells: list[str]) -> list[float]:
    """Return the numbers in some cells; none where any of it is no number."""
    try:
        return [float(word) for word in re.split(r"[\s,\[\]]+", ",".join(cells)) if word]
    except ValueError:
        return []


def read_lists(root: Path, images: Collection[str]) -> pd.Series:
    """Return image -> ``train`` or ``test``, as NIH's two lists say.

    Raises:
        UserError: a list is missing; an image stands in both, or in neither.
    """
    files = {split: root / name for split, name in LISTS.items()}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise UserError(
            f"splits: is official, but {root} has no {' and no '.join(missing)}; add them, or set "
            "splits to patient"
        )
    named = {split: _names(file) for split, file in files.items()}
    if both := sorted(named["train"] & named["test"]):
        raise UserError(f"{root}: {both[0]} stands in both {LISTS['train']} and {LISTS['test']}")
    neither = sorted(set(images) - named["train"] - named["test"])
    if neither:
        raise UserError(
            f"{root}: {len(neither)} images stand in neither {LISTS['train']} nor "
            f"{LISTS['test']}: {', '.join(neither[:3])}; set splits to patient"
        )
    return pd.Series({image: "test" if image in named["test"] else "train" for image in images})


def _names(file: Path) -> set[str]:
    try:
        return set(file.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); fetch it anew") from None


def finding_table(entries: pd.DataFrame) -> pd.DataFrame:
    """Return ``images``, ``patients`` and ``share`` of images: a row a finding, and no finding.

    Args:
        entries: as ``read_entries`` gives them. A patient counts for each finding that any image
            of theirs shows, and for no finding where any image shows none.
    """
    shown = {name: entries[name] for name in FINDINGS}
    shown[NO_FINDING] = ~entries[list(FINDINGS)].any(axis=1)
    return pd.DataFrame(
        {
            name: {
                "images": int(rows.sum()),
                "patients": int(entries.loc[rows, "patient"].nunique()),
                "share": float(rows.mean()),
            }
            for name, rows in shown.items()
        }
    ).T.astype({"images": int, "patients": int})
