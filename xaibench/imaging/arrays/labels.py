"""Labels that stand in arrays: of one class, of several labels, or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.errors import UserError
from xaibench.imaging.arrays.files import Array
from xaibench.types import Labels, Rows, Task


@dataclass(frozen=True, eq=False)
class ArrayLabels:
    """Labels of each split, and what they are of."""

    of: Mapping[str, Labels]
    classes: tuple[str, ...]
    task: Task


def labels_of(
    arrays: Mapping[str, Array],
    classes: Sequence[str] | None,
    *,
    regression: bool = False,
    one_hot: bool = False,
) -> ArrayLabels:
    """Return the labels of every split, checked together.

    Args:
        arrays: (N,) or (N, 1) whole numbers from 0; (N, L) of 0, 1 and NaN; or any numbers.
            Further axes of length 1 are of no account.
        classes: their names; None for ``class_0`` and so on.
        one_hot: (N, classes) with one 1 in each row.

    Raises:
        UserError: another shape or value, a class that no image has, more labels than names.
    """
    tables = {split: _table(array) for split, array in arrays.items()}
    several = {table.shape[1] for table in tables.values()}
    if len(several) > 1:
        said = ", ".join(f"{a.where} {tables[split].shape[1]}" for split, a in arrays.items())
        raise UserError(f"labels: splits differ in how many an image has: {said}")
    count = several.pop()
    if regression or (count > 1 and not one_hot):
        if not regression:
            _check_zero_one(arrays, tables)
        labels = {split: table.astype(np.float32) for split, table in tables.items()}
        kind = "regression" if regression else "multilabel"
        return ArrayLabels(labels, _names(classes, count, "label"), kind)
    read = _hot if one_hot else _whole
    columns = {split: read(arrays[split], table) for split, table in tables.items()}
    for split, column in columns.items():
        if classes is not None and (more := column >= len(classes)).any():
            row = int(more.argmax())
            raise UserError(
                f"labels: {arrays[split].where} row {row} is {column[row]}, counted from 0, but "
                f"classes are only {len(classes)}: {', '.join(classes)}"
            )
    seen = sorted({int(value) for column in columns.values() for value in np.unique(column)})
    named = _names(classes, count if one_hot else max(seen[-1] + 1, 2), "class")
    if lacking := [at for at in range(len(named)) if at not in seen]:
        raise UserError(
            f"labels: no image is of class {lacking[0]} ({named[lacking[0]]}); classes must be "
            "numbered from 0 without a gap"
        )
    return ArrayLabels(columns, named, "binary" if len(named) == 2 else "multiclass")


def _table(array: Array) -> np.ndarray:
    values = array.whole()
    shape = values.shape
    if values.ndim == 0 or max(shape[2:], default=1) > 1 or values.dtype.kind not in "biuf":
        raise UserError(
            f"labels: {array.where} is {values.dtype} of shape {shape}; must be numbers of shape "
            "(N,) or (N, labels)"
        )
    return values.reshape(shape[0], shape[1] if len(shape) > 1 else 1)


def _whole(array: Array, table: np.ndarray) -> Rows:
    column = table[:, 0]
    whole = np.isfinite(column) & (column == np.floor(column)) & (column >= 0)
    if not whole.all():
        row = int((~whole).argmax())
        raise UserError(
            f"labels: {array.where} row {row} is {column[row]}; must be a whole number from 0 (set "
            "regression: true for other numbers)"
        )
    return column.astype(np.int64)


def _hot(array: Array, table: np.ndarray) -> Rows:
    wrong = ~(np.isin(table, (0, 1)).all(axis=1) & (table.sum(axis=1) == 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"labels: {array.where} must have one 1 in each row, else 0; {wrong.sum()} of "
            f"{len(table)} rows have not, such as row {row}: {table[row].tolist()}; mend or remove "
            "them"
        )
    return table.argmax(axis=1)


def _check_zero_one(arrays: Mapping[str, Array], tables: Mapping[str, np.ndarray]) -> None:
    for split, table in tables.items():
        wrong = ~(np.isin(table, (0, 1)) | np.isnan(table))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise UserError(
                f"labels: {arrays[split].where} row {row} column {column} is "
                f"{table[row, column]:g}; of several labels each must be 0, 1 or NaN (set "
                "regression: true for other numbers, one_hot: true for classes)"
            )


def _names(classes: Sequence[str] | None, count: int, what: str) -> tuple[str, ...]:
    if classes is None:
        return tuple(f"{what}_{at}" for at in range(count))
    if len(classes) != count or len(set(classes)) < count:
        raise UserError(f"classes: are {len(classes)} names; {count} different ones are needed")
    return tuple(classes)
