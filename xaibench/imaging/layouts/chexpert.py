"""CheXpert's table: paths, patients, views, and labels that may be uncertain or missing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.recipe_folder import GeneratedSet, set_name
from xaibench.imaging.tables import NOT_AVAILABLE, numbers, read_table
from xaibench.imaging.true_masks import TrueMasks
from xaibench.progress import Advance, Progress

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
UNCERTAIN = -1.0

_DEEPEST = 2  # folders below the root in which the table is sought
_STEP = 1000  # rows between two reports of progress
_PATIENT = re.compile(r"patient\w*", re.IGNORECASE)
_VALUES = {"ignore": np.nan, "zero": 0.0, "one": 1.0, "half": 0.5}

Views = Literal["frontal", "lateral", "all"]
Uncertain = Literal["ignore", "zero", "one", "half"]
Missing = Literal["ignore", "zero"]


@dataclass(frozen=True)
class Choice:
    """What is taken of the table, and what becomes of labels that say nothing certain."""

    findings: tuple[str, ...]
    views: Views
    uncertain: Uncertain
    missing: Missing


def table_folder(root: Path) -> Path | None:
    """Return the shallowest folder at or below ``root`` that holds ``train.csv``."""
    for depth in range(_DEEPEST + 1):
        found = sorted(root.glob("*/" * depth + "train.csv"))
        if found:
            return found[0].parent
    return None


def read_records(
    folder: Path, choice: Choice, made: GeneratedSet | None, progress: Progress
) -> Records:
    """Return a record of each image in ``train.csv`` and ``valid.csv``.

    Images of ``valid.csv``, where there is one, are the test split. Labels are (n, L) float32.
    A row whose file is not there is bad, with its number (the first below the header is 1).

    Raises:
        UserError: a table that cannot be read or lacks a column, a label that is neither -1, nor in
            [0, 1], nor empty, a path without a patient, a view of another name, no row of the view.
    """
    tables = {"train": folder / "train.csv"}
    if (folder / "valid.csv").is_file():
        tables["test"] = folder / "valid.csv"
    parts, parts_values, rows = [], [], 0
    for split, file in tables.items():
        table = _read(file, choice)
        rows += len(table)
        if choice.views != "all":
            table = table[_views(table, file) == choice.views].reset_index(drop=True)
        if table.empty:
            raise UserError(
                f"{file}: has no row of the view {choice.views!r}; set views to another"
            )
        parts_values.append(_values(table, choice.findings, file))
        with progress.stage(f"Looking for the images of {file.name}", len(table)) as advance:
            parts.append(_facts(table, file, folder, advance))
        if len(tables) > 1:
            parts[-1]["split"] = split
    whole = pd.concat(parts, ignore_index=True)
    if (twice := whole["path"].duplicated()).any():
        raise UserError(f"{folder}: {whole['path'][twice].iloc[0]} stands twice in the tables")
    values = np.concatenate(parts_values)
    uncertain = (values == UNCERTAIN).sum(axis=0).tolist()
    order = ("evidence", "lungs", "tag")
    return Records(
        folder,
        whole,
        _decided(values, choice),
        name=set_name("chexpert", made, whole=rows == ROWS),
        task="regression",
        classes=choice.findings,
        masks=TrueMasks(made, choice.findings, SHORTCUT_FINDING, True, order) if made else None,
        masks_from=json.dumps(made.recipe) if made else "",
        facts={
            "root": str(folder),
            "generated": made is not None,
            "table_rows": rows,
            "uncertain_labels": dict(zip(choice.findings, uncertain, strict=True)),
        },
    )


def _decided(values: Float[np.ndarray, "n label"], choice: Choice) -> Float[np.ndarray, "n label"]:
    """Return labels as a model is trained on them: -1 and NaN become what the choice says."""
    labels = values.copy()
    labels[values == UNCERTAIN] = _VALUES[choice.uncertain]
    labels[np.isnan(values)] = _VALUES[choice.missing]
    return labels.astype(np.float32)


def _read(file: Path, choice: Choice) -> pd.DataFrame:
    """Return the table, with the number of each row."""
    table = read_table(file, (PATH, *([VIEW] if choice.views != "all" else [])))
    known = [column for column in table if column not in FACTS]
    if lacking := [finding for finding in choice.findings if finding not in known]:
        raise UserError(
            f"findings: {file} has no finding {lacking[0]!r}{did_you_mean(lacking[0], known)}"
        )
    return table.assign(row=table.index.to_numpy() - 1)


def _views(table: pd.DataFrame, file: Path) -> pd.Series:
    views = table[VIEW].astype(str).str.strip().str.lower()
    if not (known := views.isin(("frontal", "lateral"))).all():
        at = table.index[~known][0]
        raise UserError(
            f"{file}: row {table['row'][at]}: {VIEW!r} is {table[VIEW][at]!r}; must be Frontal or "
            "Lateral, or set views to all"
        )
    return views


def _values(
    table: pd.DataFrame, findings: Sequence[str], file: Path
) -> Float[np.ndarray, "n label"]:
    """Return labels as the table has them: in [0, 1], -1, or NaN."""
    columns = []
    for finding in findings:
        given = table[finding]
        values = numbers(given)
        empty = (given.isna() | given.isin(NOT_AVAILABLE)).to_numpy()
        allowed = empty | (values == UNCERTAIN) | ((values >= 0) & (values <= 1))
        if not allowed.all():
            at = np.flatnonzero(~allowed)[0]
            raise UserError(
                f"{file}: row {table['row'].iloc[at]}: {finding!r} is {given.iloc[at]}; must be "
                "in [0, 1], -1 for uncertain, or empty"
            )
        columns.append(values)
    return np.stack(columns, axis=1)


def _facts(table: pd.DataFrame, file: Path, folder: Path, advance: Advance) -> pd.DataFrame:
    """Return path below the folder, patient, and what is bad of each row."""
    paths, patients, bad = [], [], []
    drop = 0  # leading folders, mostly the same for all
    for done, (row, given) in enumerate(zip(table["row"], table[PATH], strict=True), 1):
        parts = PurePosixPath(str(given).replace("\\", "/")).parts
        patient = next((part for part in parts[:-1] if _PATIENT.fullmatch(part)), None)
        if patient is None:
            raise UserError(
                f"{file}: row {row}: {PATH!r} is {given!r}; a folder of it must be patient..., by "
                "which images are split"
            )
        tried = [drop, *(k for k in range(len(parts)) if k != drop)]
        there = next((k for k in tried if folder.joinpath(*parts[k:]).is_file()), None)
        drop = drop if there is None else there
        paths.append(PurePosixPath(*parts[drop:]).as_posix())
        patients.append(patient.lower())
        bad.append("" if there is not None else f"is not there (row {row} of {file.name})")
        if done % _STEP == 0:
            advance(_STEP)
    return pd.DataFrame({"path": paths, "patient": patients, "bad": bad})
