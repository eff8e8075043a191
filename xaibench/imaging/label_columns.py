"""Labels that stand in the columns of a table, and what becomes of those that say nothing certain.

Cells are text, as `tables.read_table` has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.tables import NOT_AVAILABLE, numbers
from xaibench.types import Labels, Task

Unknown = Literal["error", "leave_out", "ignore", "zero"]
Uncertain = Literal["error", "leave_out", "ignore", "zero", "one", "half"]
_VALUE = {"ignore": np.nan, "zero": 0.0, "one": 1.0, "half": 0.5}
_MOST_CLASSES = 200


@dataclass(frozen=True)
class LabelColumns:
    """Where labels stand, and what becomes of those that say nothing certain.

    Attributes:
        label: a column of one label: a class's name, a list of names, or a number.
        labels: columns of a label each, 0 or 1; of numbers where they are a regression.
        separator: of the names in a cell of ``label``; None for one name.
        regression: whether labels are numbers.
        within: the lowest and the highest that such a number may be.
        classes: names in the order of the labels, with what each is called.
        uncertain_values: cells that say neither yes nor no.
        uncertain, missing: what becomes of them, and of empty cells.
    """

    label: str | None = None
    labels: tuple[str, ...] = ()
    separator: str | None = None
    regression: bool = False
    within: tuple[float, float] = (-np.inf, np.inf)
    classes: Mapping[str, str] | None = None
    uncertain_values: tuple[str, ...] = ()
    uncertain: Uncertain = "error"
    missing: Unknown = "error"

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

    kept: Bool[np.ndarray, " rows"]
    labels: Labels
    classes: tuple[str, ...]
    task: Task
    uncertain: Mapping[str, int]


def labels_of(table: pd.DataFrame, asked: LabelColumns, file: Path) -> Labelled:
    """Return the labels of a table's rows.

    Args:
        file: the table's, for messages; its index is the line of each row.

    Raises:
        UserError: a cell that is no label, with its line, and what it may be.
    """
    if asked.regression or asked.labels:
        return _numbers(table, asked, file)
    return (_lists if asked.separator else _one)(table, asked, file)


def named_in(cells: pd.Series, separator: str) -> list[set[str]]:
    """Return the names in each cell; none in an empty one."""
    return [
        {name.strip() for name in cell.split(separator) if name.strip()}
        if isinstance(cell, str)
        else set()
        for cell in cells
    ]


def _one(table: pd.DataFrame, asked: LabelColumns, file: Path) -> Labelled:
    cells = table[asked.label]
    uncertain, missing = cells.isin(asked.uncertain_values), cells.isna()
    for which, policy, what in (
        (uncertain, asked.uncertain, "uncertain"),
        (missing, asked.missing, "missing"),
    ):
        if which.any() and policy != "leave_out":
            said = "empty" if what == "missing" else repr(cells[which.idxmax()])
            raise UserError(
                f"{file}:{which.idxmax()}: {asked.label!r} is {said}, and an image of one "
                f"class cannot {policy} it; set {what} to leave_out, or mend it"
            )
    kept = ~(uncertain | missing)
    known = sorted(cells[kept].unique())
    classes = _classes(asked, known)
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


def _lists(table: pd.DataFrame, asked: LabelColumns, file: Path) -> Labelled:
    cells = table[asked.label]
    named = named_in(cells, asked.separator)
    classes = _classes(asked, sorted(set().union(*named)))
    values = np.array([[name in row for name in classes] for row in named], np.float64)
    missing = np.repeat(cells.isna().to_numpy()[:, None], len(classes), axis=1)
    sure = np.zeros_like(missing)
    where = [asked.label] * len(classes)
    return _decided(table, values, sure, missing, where, classes, "multilabel", asked, file)


def _classes(asked: LabelColumns, known: Sequence[str]) -> Mapping[str, str]:
    classes = dict(asked.classes) if asked.classes else {name: name for name in known}
    if lost := [name for name in classes if name not in known]:
        raise UserError(
            f"classes: no row has {lost[0]!r} in {asked.label!r}{did_you_mean(lost[0], known)}"
        )
    return classes


def _numbers(table: pd.DataFrame, asked: LabelColumns, file: Path) -> Labelled:
    """Return columns of 0 and 1, or of numbers."""
    doubts = numbers(pd.Series(asked.uncertain_values, dtype=object))
    columns = []
    for column in asked.columns:
        cells = table[column]
        values = numbers(cells)
        unsure = cells.isin(asked.uncertain_values).to_numpy() | np.isin(values, doubts)
        missing = (cells.isna() | cells.isin(NOT_AVAILABLE)).to_numpy()
        low, high = asked.within
        fine = (values >= low) & (values <= high) & np.isfinite(values)
        if not asked.regression:
            fine &= np.isin(values, (0.0, 1.0))
        if (wrong := ~(fine | unsure | missing)).any():
            at = int(wrong.argmax())
            raise UserError(
                f"{file}:{table.index[at]}: {column!r} is {cells.iloc[at]!r}; must be "
                f"{_allowed(asked)}"
            )
        columns.append((values, unsure, missing))
    values, unsure, missing = (np.stack(each, axis=1) for each in zip(*columns, strict=True))
    task = "regression" if asked.regression else "multilabel"
    names = {column: (asked.classes or {}).get(column, column) for column in asked.columns}
    return _decided(table, values, unsure, missing, asked.columns, names, task, asked, file)


def _allowed(asked: LabelColumns) -> str:
    allowed = ["0", "1"]
    if asked.regression:
        low, high = asked.within
        allowed = ["a number" if np.isinf(high) else f"in [{low:g}, {high:g}]"]
    allowed.append("empty")
    if asked.uncertain_values:
        allowed.append(f"{' or '.join(asked.uncertain_values)} for uncertain")
    return f"{', '.join(allowed[:-1])} or {allowed[-1]}"


def _decided(
    table: pd.DataFrame,
    values: Float[np.ndarray, "n label"],
    unsure: Bool[np.ndarray, "n label"],
    missing: Bool[np.ndarray, "n label"],
    columns: Sequence[str],
    names: Mapping[str, str],
    task: Task,
    asked: LabelColumns,
    file: Path,
) -> Labelled:
    """Apply the policies."""
    kept = np.ones(len(values), bool)
    labels = values.copy()
    for which, policy, what in (
        (unsure, asked.uncertain, "uncertain"),
        (missing, asked.missing, "missing"),
    ):
        if policy == "error" and which.any():
            row, column = np.argwhere(which)[0]
            raise UserError(
                f"{file}:{table.index[row]}: {columns[column]!r} is {what}; say what "
                f"becomes of it ({what}: ignore, zero, leave_out), or mend it"
            )
        if policy == "leave_out":
            kept &= ~which.any(axis=1)
        else:
            labels[which] = _VALUE.get(policy, np.nan)
    called = tuple(names.values())
    counted = dict(zip(called, unsure.sum(axis=0).tolist(), strict=True))
    return Labelled(kept, labels[kept].astype(np.float32), called, task, counted)
