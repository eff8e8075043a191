"""Folders of classes as somebody has them, with the patients that their files' names tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.layouts.folders import find_classes
from xaibench.imaging.own_masks import find_masks
from xaibench.imaging.recognition.guess import HEADERS, PATIENTS, Guess, are_dicom
from xaibench.imaging.recognition.names import MASKS, bare

_PATIENT = r"([^/]*)[_-][^/_-]*\.[^./]*$"
"""The patient of ``p01_2.png`` is ``p01``."""
_FEWEST = 10  # patients
_LARGEST = 0.1  # share of the images that are of one patient


def guess_folder(place: Path) -> Guess | None:
    """Return what a folder with folders of classes is; None where it has none."""
    root, masks = _without_masks(place)
    try:
        found = find_classes(root, leave_out=masks)
    except UserError:
        return None
    if len(found.folders) < 2:
        return None
    guess = Guess({"use": "image_folder", "root": root.as_posix()})
    split = "split" in found.table
    guess.took.append(
        f"classes: {', '.join(found.folders)}, the folders of {root} ({len(found.table)} images)"
    )
    if split:
        guess.took.append(f"splits: {', '.join(found.table['split'].unique())}, folders too")
    if found.others:
        guess.unsure.append(f"left out, as of no split: {', '.join(found.others)}")
    _take_masks(guess, masks, found.table["path"].tolist())
    _take_patients(guess, root, found.table)
    return guess


def _take_masks(guess: Guess, masks: Path | None, paths: Sequence[str]) -> None:
    if masks is None:
        return
    try:
        there = find_masks(masks, paths, "")
    except UserError:
        guess.unsure.append(f"{masks} has no file of an image's name; masks is left out")
        return
    guess.settings["masks"] = masks.as_posix()
    guess.took.append(f"masks of the evidence: {masks}, of {len(there)} images")


def _take_patients(guess: Guess, root: Path, table: pd.DataFrame) -> None:
    paths = table["path"].tolist()
    if are_dicom([root / path for path in paths]):
        guess.took.append(HEADERS)
        return
    example = by_names(paths)
    told = "" if example is None else f"; by the names of files {example}"
    if example is not None and "split" in table:
        names = table["path"].map(lambda path: re.search(_PATIENT, path)[1])
        if table.groupby(names)["split"].nunique().max() > 1:
            example, told = None, f"{told}, but then some would be in two splits"
    if example is None:
        guess.unsure.append(PATIENTS.format("if names tell it, add patient: REGEX") + told)
        return
    guess.settings["patient"] = _PATIENT
    guess.unsure.append(
        f"patients: by the names of files; {example}. If that is wrong, mend patient or remove it"
    )


def by_names(paths: Sequence[str]) -> str | None:
    """Return an example of several images of one patient, if names of files seem to tell it.

    That is where what stands before the last ``_`` or ``-`` has a digit, and comes several times,
    but never for many of all images.
    """
    found = [re.search(_PATIENT, path) for path in paths]
    if not all(match and re.search(r"\d", match[1]) for match in found):
        return None
    counts = Counter(match[1] for match in found)
    patient, most = counts.most_common(1)[0]
    if len(counts) < _FEWEST or most < 2 or most > max(_LARGEST * len(paths), 2):
        return None
    own = [Path(path).name for path in paths if re.search(_PATIENT, path)[1] == patient]
    return f"{' and '.join(own[:2])} are both of {patient}"


def _without_masks(place: Path) -> tuple[Path, Path | None]:
    """Return the folder of the images, and that of the masks beside it, if there are just two."""
    inside = [f for f in sorted(place.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    masks = [folder for folder in inside if bare(folder.name) in MASKS]
    if len(inside) == 2 and len(masks) == 1:
        return next(folder for folder in inside if folder not in masks), masks[0]
    return place, None
