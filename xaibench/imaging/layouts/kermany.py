"""The folders of Kaggle's paediatric pneumonia set: the clean root, and a record of each image."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from xaibench.imaging import patients
from xaibench.imaging.image_files import is_meant
from xaibench.imaging.layouts.folders import find_classes, records_of
from xaibench.imaging.lungs import lungs_masks
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.recipe_folder import GeneratedSet, set_name
from xaibench.imaging.true_masks import TrueMasks
from xaibench.progress import Progress

HANDLE = "paultimothymooney/chest-xray-pneumonia"
"""Kaggle's name of the set."""
IMAGES = 5_856
PARTS = ("train", "val", "test")
FOLDERS = ("NORMAL", "PNEUMONIA")
"""Of class 0 and class 1."""
CLASSES = ("normal", "pneumonia")
_DEEPEST = 4  # folders below the root in which the archive's own are sought
_PERSON = re.compile(r"(person\d+)_")
_STUDY = re.compile(r"((?:.*-)?im-\d+)(?:-\d+)+$")
_DISEASE = re.compile(r"(?:bacteria|virus|normal)-(\d+)-\d+$")


def clean_root(root: Path) -> Path | None:
    """Return the shallowest folder that holds the classes' folders, directly or in a split's.

    ``__MACOSX`` and hidden folders are passed over. None where there is none.
    """
    level = [root] if root.is_dir() else []
    for _ in range(_DEEPEST + 1):
        for folder in level:
            if any(_holds_classes(inside) for inside in (folder, *(folder / p for p in PARTS))):
                return folder
        level = [inside for folder in level for inside in _folders(folder)]
    return None


def read_records(
    root: Path, made: GeneratedSet | None, patient: str | None, progress: Progress
) -> Records:
    """Return all images below a clean root, pooled, with patients and labels.

    The images of a patient who is in both classes are bad, with the reason.

    Args:
        patient: a regular expression that finds the patient in a path; None for the names that are
            known of this set. How many images have another is said.
    """
    found = find_classes(root)
    pooled = replace(found, table=found.table.drop(columns="split", errors="ignore"))
    known = _patients(found.table["path"].tolist(), patient, progress)
    whole = len(found.table) == IMAGES
    name = set_name("chest_xray_pneumonia", made, whole)
    records = records_of(root, pooled, dict(zip(FOLDERS, CLASSES, strict=True)), known, name,
                         progress)  # fmt: skip
    both = pd.Series(records.labels).groupby(records.table["patient"]).transform("nunique") > 1
    bad = np.where(both, "is of a patient with images in both classes", "")
    return replace(
        records,
        table=records.table.assign(bad=bad),
        # Only pneumonia has a place in the image; nothing in particular speaks for its absence.
        masks=TrueMasks(made, ("no_evidence", "evidence"), "evidence") if made else lungs_masks,
        masks_from=json.dumps(made.recipe) if made else "",
        facts={"root": str(root), "generated": made is not None},
    )


def _patients(paths: Sequence[str], pattern: str | None, progress: Progress) -> list[str]:
    if pattern is not None:
        return patients.by_pattern(paths, pattern)
    if unknown := [path for path in paths if known_patient(path) is None]:
        progress.say(
            f"patients: the names of {len(unknown)} of {len(paths)} images are of no known pattern "
            f"({PurePath(unknown[0]).name}, ...), so that each of these counts as a patient of its "
            "own; where several are of one, they leak from training to test: name them by "
            "`patient: REGEX`"
        )
    return [patient_of_kermany(path) for path in paths]


def patient_of_kermany(name: str) -> str:
    """Return the patient of an image of the paediatric pneumonia set.

    ``person123_bacteria_45.jpeg`` is ``person123``, ``IM-0115-0001.jpeg`` is ``im-0115``, and
    ``NORMAL2-IM-0666-0001.jpeg`` is ``normal2-im-0666``; in the original release
    ``BACTERIA-1008087-0001.jpeg`` is ``1008087``. Any other name is a patient of its own.

    The archive numbers persons in several of its folders, and does not say whether a number is the
    same child everywhere. Taking it so is the safe side: two children in one split leak nothing.
    """
    return known_patient(name) or PurePath(name).stem.lower()


def known_patient(name: str) -> str | None:
    """Return the patient that an image's name tells; None for a name of no known pattern."""
    stem = PurePath(name).stem.lower()
    found = _PERSON.match(stem) or _STUDY.match(stem) or _DISEASE.match(stem)
    return found.group(1) if found else None


def _holds_classes(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in FOLDERS)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(
            inside for inside in folder.iterdir() if inside.is_dir() and is_meant(inside.name)
        )
    except PermissionError:
        return []
