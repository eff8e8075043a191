"""The folders of Kaggle's paediatric pneumonia set: the clean root, and a record of each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.datasets.image_files import EXTENSIONS
from xaibench.datasets.patients import patient_of_kermany
from xaibench.datasets.radiograph_sets import Records

PARTS = ("train", "val", "test")
FOLDERS = ("NORMAL", "PNEUMONIA")
"""Of class 0 and class 1."""
_DEEPEST = 4  # folders below the root in which the archive's own are sought


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


def records(root: Path) -> Records:
    """Return all images below a clean root, pooled, with patients and labels.

    A file that is no image, an image in a folder of neither class, and the images of a patient who
    is in both classes are bad, with the reason; their labels say nothing.
    """
    places = [root / name for name in (*PARTS, *FOLDERS) if (root / name).is_dir()]
    files = sorted(file for place in places for file in place.rglob("*") if _counts(file, root))
    table = pd.DataFrame(
        {
            "path": [file.relative_to(root).as_posix() for file in files],
            "patient": [patient_of_kermany(file.name) for file in files],
            "folder": [file.parent.name for file in files],
            "bad": "",
        }
    )
    known = table["folder"].isin(FOLDERS)
    table.loc[~known, "bad"] = f"lies in none of the folders {' and '.join(FOLDERS)}"
    no_image = [file.suffix.lower() not in EXTENSIONS for file in files]
    table.loc[no_image, "bad"] = "is no image file by its name"
    classes = table[table["bad"] == ""].groupby("patient")["folder"].nunique()
    both = table["patient"].isin(classes.index[classes > 1]) & (table["bad"] == "")
    table.loc[both, "bad"] = "is of a patient with images in both classes"
    labels = (table["folder"] == FOLDERS[1]).to_numpy().astype(np.int64)
    return Records(root, table.drop(columns="folder"), labels)


def _holds_classes(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in FOLDERS)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(
            inside for inside in folder.iterdir() if inside.is_dir() and _clean(inside.name)
        )
    except PermissionError:
        return []


def _counts(file: Path, root: Path) -> bool:
    return all(_clean(part) for part in file.relative_to(root).parts) and file.is_file()


def _clean(name: str) -> bool:
    return name != "__MACOSX" and not name.startswith(".")
