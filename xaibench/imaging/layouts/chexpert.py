"""CheXpert's tables: images by study and view, labels that may be uncertain or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging import patients
from xaibench.imaging.label_columns import LabelColumns
from xaibench.imaging.layouts.image_table import PATH as FILE
from xaibench.imaging.layouts.image_table import TableColumns, read_images, unreadable_files
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.recipe_folder import GeneratedSet, set_name
from xaibench.imaging.true_masks import TrueMasks
from xaibench.progress import Progress

PATH, VIEW = "Path", "Frontal/Lateral"
FACTS = (PATH, "Sex", "Age", VIEW, "AP/PA")
"""The columns before the findings'."""
FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
"""CheXpert's own, in its order; another table may have others."""
COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
SHORTCUT_FINDING = "Cardiomegaly"
"""The finding that a planted marker goes with."""
ROWS = 223_648
"""Of the original's train.csv and valid.csv together."""

_DEEPEST = 2  # folders below the root in which the table is sought
_PATIENT = r"(?i)(?:^|/)(?P<patient>patient\w*)/"

Views = Literal["frontal", "lateral", "all"]
Uncertain = Literal["ignore", "zero", "one", "half"]
Missing = Literal["ignore", "zero"]


def table_folder(root: Path) -> Path | None:
    """Return the shallowest folder at or below ``root`` that holds ``train.csv``."""
    for depth in range(_DEEPEST + 1):
        found = sorted(root.glob("*/" * depth + "train.csv"))
        if found:
            return found[0].parent
    return None


def read_records(
    folder: Path,
    labels: LabelColumns,
    views: Views,
    made: GeneratedSet | None,
    progress: Progress,
) -> Records:
    """Return a record of each image in ``train.csv`` and ``valid.csv``.

    Images of ``valid.csv``, where there is one, are the test split.

    Raises:
        UserError: as of any table of images; and a path without a folder ``patient...``, an image
            in both tables.
    """
    asked = TableColumns(PATH, labels, only={} if views == "all" else {VIEW: [views]})
    files = [folder / name for name in ("train.csv", "valid.csv") if (folder / name).is_file()]
    found = [read_images(folder, file, asked, progress) for file in files]
    tables = []
    for file, images, split in zip(files, found, ("train", "test"), strict=False):
        paths = images.table[FILE].tolist()
        table = pd.DataFrame({"path": paths})
        needed = f"a folder of each path of {file} must be patient..."
        named = patients.by_pattern(paths, _PATIENT, needed)
        table["patient"] = [patient.lower() for patient in named]
        table["bad"] = unreadable_files(folder, images.table, file, progress)
        tables.append(table.assign(split=split) if len(files) > 1 else table)
    whole = pd.concat(tables, ignore_index=True)
    if (twice := whole["path"].duplicated()).any():
        raise UserError(f"{folder}: {whole['path'][twice].iloc[0]} stands twice in the tables")
    rows = sum(images.read for images in found)
    order = ("evidence", "lungs", "tag")
    masks = TrueMasks(made, labels.labels, SHORTCUT_FINDING, True, order) if made else None
    return Records(
        folder,
        whole,
        np.concatenate([images.labelled.labels for images in found]),
        name=set_name("chexpert", made, whole=rows == ROWS),
        task="regression",
        classes=labels.labels,
        masks=masks,
        masks_from=json.dumps(made.recipe) if made else "",
        facts={
            "root": str(folder),
            "generated": made is not None,
            "table_rows": rows,
            "uncertain_labels": {
                name: sum(images.labelled.uncertain[name] for images in found)
                for name in labels.labels
            },
        },
    )
