"""Images in a folder for each class, with or without folders for the splits above these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.image_files import is_meant
from xaibench.imaging.picture_files import find_pictures
from xaibench.imaging.picture_sets import Records
from xaibench.progress import Progress

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "test": "test",
    "testing": "test",
}
"""Folder (in any case) -> the split that its images are in."""
_NAMED = 3


@dataclass(frozen=True)
class Found:
    """The images below a root.

    Attributes:
        table: a row an image: ``path`` (below the root, with forward slashes), ``folder`` (its
            class's), and ``split`` where the root has folders for the splits.
        folders: those of the classes, by name.
        others: folders that are of no split, beside those that are.
    """

    table: pd.DataFrame
    folders: tuple[str, ...]
    others: tuple[str, ...]


def find_classes(root: Path, leave_out: Path | None = None) -> Found:
    """Find the images in ``CLASS/*`` or ``SPLIT/CLASS/*``, at any depth below a class's folder.

    Args:
        leave_out: a folder that holds something else, such as masks.

    Raises:
        UserError: no images, images outside of a class's folder.
    """
    inside = _folders(root, leave_out)
    given = {f: SPLIT_FOLDERS[f.name.lower()] for f in inside if f.name.lower() in SPLIT_FOLDERS}
    places = given or {root: None}
    rows = []
    for place, split in places.items():
        files = find_pictures(place)
        if stray := [file for file in files if file.parent == place]:
            raise UserError(
                f"root: {place} has {len(stray)} images outside of a class's folder "
                f"({', '.join(f.name for f in stray[:_NAMED])}); move each into the folder of its "
                "class, or name their labels by a table (use: image_table)"
            )
        classes = {folder.name for folder in _folders(place, leave_out)}
        for file in files:
            if (name := file.relative_to(place).parts[0]) in classes:
                rows.append((file.relative_to(root).as_posix(), name, split))
    if not rows:
        raise UserError(
            f"root: {root} has no images in folders of classes; it must hold CLASS/*.png, or "
            "train/CLASS/*.png and test/CLASS/*.png"
        )
    table = pd.DataFrame(rows, columns=["path", "folder", "split"])
    return Found(
        table if given else table.drop(columns="split"),
        tuple(sorted(table["folder"].unique())),
        tuple(f.name for f in inside if given and f not in given),
    )


def check_splits(root: Path, found: Found) -> None:
    """Raise UserError for folders of splits without images to train on, or to test with."""
    if "split" in found.table and (lacking := {"train", "test"} - set(found.table["split"])):
        raise UserError(
            f"root: {root} has {', '.join(sorted(set(found.table['split'])))} but no images in "
            f"{min(lacking)}; add them, or have the folders of the classes alone there, which "
            "`fractions` splits"
        )


def named_classes(
    folders: Sequence[str], asked: Mapping[str, str] | Sequence[str] | None
) -> dict[str, str]:
    """Return folder -> class, in the order of the labels.

    Args:
        folders: what was found.
        asked: the folders in the order wanted, or with a name for each; None for all as they are.

    Raises:
        UserError: a folder that is not there, two of one name, fewer than two.
    """
    named = dict(asked) if isinstance(asked, Mapping) else {f: f for f in asked or folders}
    for folder in named:
        if folder not in folders:
            raise UserError(
                f"classes: there is no folder {folder!r}{did_you_mean(folder, folders)}"
            )
    if len(set(named.values())) < len(named):
        raise UserError(f"classes: two have one name: {', '.join(named.values())}")
    if len(named) < 2:
        only = ", ".join(named) or "none"
        raise UserError(f"classes: at least two are needed; there is {only}")
    return named


def records_of(
    root: Path,
    found: Found,
    classes: Mapping[str, str],
    patients: Sequence[str],
    name: str,
    progress: Progress,
) -> Records:
    """Return the records of the images whose folder is one of the classes'; say the others.

    Args:
        patients: of each row of ``found.table``.
        name: of the data set.
    """
    table = found.table.assign(patient=list(patients))
    of_classes = table["folder"].isin(classes)
    if not of_classes.all():
        others = table[~of_classes]
        progress.say(
            f"left out, as of none of the classes {', '.join(classes)}: {len(others)} images "
            f"({', '.join(others['path'][:_NAMED])})"
        )
    table = table[of_classes].reset_index(drop=True)
    places = {folder: at for at, folder in enumerate(classes)}
    return Records(
        root,
        table.drop(columns="folder"),
        table["folder"].map(places).to_numpy(np.int64),
        name=name,
        task="binary" if len(classes) == 2 else "multiclass",
        classes=tuple(classes.values()),
        facts={"root": str(root), "generated": False, "class_folders": dict(classes)},
    )


def _folders(place: Path, leave_out: Path | None) -> list[Path]:
    try:
        inside = [f for f in sorted(place.iterdir()) if f.is_dir() and is_meant(f.name)]
    except OSError as error:
        raise UserError(f"root: {place} cannot be read ({error.strerror})") from None
    away = leave_out.resolve() if leave_out else None
    return [folder for folder in inside if folder.resolve() != away]
