"""A table of images and what is said of each: which rows count, where the files are, what labels.

Cells are text until a label is asked for; `tables.read_table` reads every format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.layouts.folders import SPLIT_FOLDERS
from xaibench.imaging.tables import numbers
from xaibench.types import Labels, Task

Unknown = Literal["error", "leave_out", "ignore", "zero"]
Uncertain = Literal["error", "leave_out", "ignore", "zero", "one", "half"]
_VALUE = {"ignore": np.nan, "zero": 0.0, "one": 1.0, "half": 0.5}
_NAMED = 3
_MOST_CLASSES = 200


@dataclass(frozen=True)
class LabelColumns:
    """Where labels stand, and what becomes of those that say nothing certain.

    Attributes:
        label: a column of one label: a class's name, a list of names, or a number.
        labels: columns of a label each, 0 or 1; of numbers where they are a regression.
        separator: of the names in a cell of ``label``; None for one name.
        regression: whether labels are numbers.
        classes: names in the order of the labels, with what each is called.
        uncertain_values: cells that say neither yes nor no.
        uncertain, missing: what becomes of them, and of empty cells.
    """

    label: str | None
    labels: tuple[str, ...]
    separator: str | None
    regression: bool
    classes: Mapping[str, str] | None
    uncertain_values: tuple[str, ...]
    uncertain: Uncertain
    missing: Unknown

    @property
    def columns(self) -> list[str]:
        return [self.label] if self.label else list(self.labels)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels of some rows of a table.

    Attributes:
        kept: which rows have labels that can be used.
        labels: of the kept rows.
        uncertain: label -> how many cells said neither yes nor no.
    """

    kept: np.ndarray
    labels: Labels
    classes: tuple[str, ...]
    task: Task
    uncertain: Mapping[str, int]


def only_rows(table: pd.DataFrame, only: Mapping[str, Sequence[str]], file: Path) -> pd.DataFrame:
    """Return the rows whose cell is one of those asked for, in every column named.

    Raises:
        UserError: no row is left, with the values that there are.
    """
    for column, values in only.items():
        kept = table[table[column].isin(values)]
        if kept.empty:
            there = table[column].dropna().unique()
            raise UserError(
                f"only: {file} has no row whose {column!r} is {' or '.join(values)}"
                f"{did_you_mean(values[0], there) if len(there) < 20 else ''}"
            )
        table = kept
    return table


def paths_of(table: pd.DataFrame, column: str, pattern: str) -> list[str]:
    """Return the path of each row's image below the root: ``pattern`` with the cell for ``{}``.

    Raises:
        UserError: a row without a cell, or a path that leads out of the root.
    """
    paths = []
    for line, cell in table[column].items():
        if not isinstance(cell, str):
            raise UserError(f"path: line {line} has nothing in {column!r}; fill it in")
        path = PurePosixPath(pattern.replace("{}", cell.replace("\\", "/")))
        if path.is_absolute() or ".." in path.parts:
            raise UserError(
                f"path: line {line}: {str(path)!r} leads out of root; name it below root"
            )
        paths.append(path.as_posix())
    return paths


def splits_of(table: pd.DataFrame, column: str) -> list[str]:
    """Return the split of each row: train, valid or test, called as folders of splits may be."""
    splits = []
    for line, cell in table[column].items():
        split = SPLIT_FOLDERS.get(str(cell).strip().lower())
        if split is None:
            hint = did_you_mean(str(cell), SPLIT_FOLDERS)
            raise UserError(f"split: line {line}: {column!r} is {cell!r}{hint}")
        splits.append(split)
    if lacking := {"train", "test"} - set(splits):
        raise UserError(
            f"split: {column!r} names no row of {min(lacking)}; leave split out to draw it"
        )
    return splits


def labels_of(table: pd.DataFrame, asked: LabelColumns) -> Labelled:
    """Return the labels of a table's rows.

    Raises:
        UserError: a cell that is no label, with its line, and what it may be.
    """
    if asked.regression:
        return _numbers(table, asked)
    if asked.labels:
        return _several(table, asked)
    return _lists(table, asked) if asked.separator else _one(table, asked)


def _one(table: pd.DataFrame, asked: LabelColumns) -> Labelled:
    cells = table[asked.label]
    uncertain, missing = cells.isin(asked.uncertain_values), cells.isna()
    for which, policy, what in (
        (uncertain, asked.uncertain, "uncertain"),
        (missing, asked.missing, "missing"),
    ):
        if which.any() and policy != "leave_out":
            raise UserError(
                f"{what}: line {which.idxmax()}: {asked.label!r} is {cells[which.idxmax()]!r}, and "
                f"an image of one class cannot {policy} it; set {what} to leave_out, or mend it"
            )
    kept = ~(uncertain | missing)
    known = sorted(cells[kept].unique())
    classes = dict(asked.classes) if asked.classes else {name: name for name in known}
    if lost := [name for name in classes if name not in known]:
        raise UserError(
            f"classes: no row has {lost[0]!r} in {asked.label!r}{did_you_mean(lost[0], known)}"
        )
    if len(classes) > _MOST_CLASSES:
        raise UserError(
            f"label: {asked.label!r} has {len(classes)} different values; if it is a number, set "
            "regression: true, if a list of names, say their separator"
        )
    kept &= cells.isin(classes)  # rows of classes that were not asked for
    if len(classes) < 2:
        raise UserError(f"label: {asked.label!r} is {known[0]!r} in every row; two are needed")
    places = {name: at for at, name in enumerate(classes)}
    labels = cells[kept].map(places).to_numpy(np.int64)
    task = "binary" if len(classes) == 2 else "multiclass"
    return Labelled(kept.to_numpy(), labels, tuple(classes.values()), task, {})


def _lists(table: pd.DataFrame, asked: LabelColumns) -> Labelled:
    cells = table[asked.label]
    named = [
        {part.strip() for part in cell.split(asked.separator) if part.strip()}
        if isinstance(cell, str)
        else set()
        for cell in cells
    ]
    known = sorted(set().union(*named))
    classes = dict(asked.classes) if asked.classes else {name: name for name in known}
    if lost := [name for name in classes if name not in known]:
        raise UserError(
            f"classes: no row names {lost[0]!r} in {asked.label!r}{did_you_mean(lost[0], known)}"
        )
    values = np.array([[name in row for name in classes] for row in named], np.float64)
    values[cells.isna().to_numpy()] = np.nan
    return _decided(table, values, list(classes), tuple(classes.values()), "multilabel", asked)


def _several(table: pd.DataFrame, asked: LabelColumns) -> Labelled:
    columns = []
    for column in asked.labels:
        cells = table[column]
        uncertain = cells.isin(asked.uncertain_values)
        values = numbers(cells.mask(uncertain))
        wrong = ~(np.isin(values, (0.0, 1.0)) | uncertain | cells.isna()).to_numpy()
        _refuse(table, column, wrong, f"0, 1, empty, or {' or '.join(asked.uncertain_values)}")
        columns.append(np.where(uncertain, -1.0, values))
    names = [(asked.classes or {}).get(column, column) for column in asked.labels]
    values = np.stack(columns, axis=1)
    return _decided(table, values, list(asked.labels), tuple(names), "multilabel", asked)


def _numbers(table: pd.DataFrame, asked: LabelColumns) -> Labelled:
    columns = []
    for column in asked.columns:
        cells = table[column]
        values = numbers(cells)
        wrong = np.isnan(values) & cells.notna().to_numpy() | np.isinf(values)
        _refuse(table, column, wrong, "a number or empty")
        columns.append(values)
    names = [(asked.classes or {}).get(column, column) for column in asked.columns]
    values = np.stack(columns, axis=1)
    return _decided(table, values, asked.columns, tuple(names), "regression", asked)


def _refuse(table: pd.DataFrame, column: str, wrong: np.ndarray, allowed: str) -> None:
    if wrong.any():
        at = int(wrong.argmax())
        raise UserError(
            f"labels: line {table.index[at]}: {column!r} is {table[column].iloc[at]!r}; must be "
            f"{allowed}"
        )


def _decided(
    table: pd.DataFrame,
    values: Float[np.ndarray, "n label"],
    columns: Sequence[str],
    names: tuple[str, ...],
    task: Task,
    asked: LabelColumns,
) -> Labelled:
    """Apply the policies: -1 of a 0/1 label is uncertain, NaN is missing."""
    uncertain = (values == -1.0) & (task == "multilabel")
    missing = np.isnan(values)
    kept = np.ones(len(values), bool)
    labels = values.copy()
    for which, policy, what in (
        (uncertain, asked.uncertain, "uncertain"),
        (missing, asked.missing, "missing"),
    ):
        if policy == "error" and which.any():
            row, column = np.argwhere(which)[0]
            raise UserError(
                f"{what}: line {table.index[row]}: {columns[column]!r} is {what}; say what becomes "
                f"of it ({what}: ignore, zero, leave_out), or mend it"
            )
        if policy == "leave_out":
            kept &= ~which.any(axis=1)
        else:
            labels[which] = _VALUE.get(policy, np.nan)
    counted = dict(zip(names, uncertain.sum(axis=0).tolist(), strict=True))
    return Labelled(kept, labels[kept].astype(np.float32), names, task, counted)
