"""Labels that stand in arrays: of one class, of several labels, or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.errors import UserError
from xaibench.imaging.layouts.arrays import Stored
from xaibench.types import Labels, Task


@dataclass(frozen=True, eq=False)
class ArrayLabels:
    """Labels of each split, and what they are of."""

    of: Mapping[str, Labels]
    classes: tuple[str, ...]
    task: Task


def labels_of(
    arrays: Mapping[str, Stored], classes: Sequence[str] | None, regression: bool
) -> ArrayLabels:
    """Return the labels of every split, checked together.

    Args:
        arrays: (N,) or (N, 1) whole numbers from 0; (N, L) of 0, 1 and NaN; or any numbers.
        classes: their names; None for ``class_0`` and so on.

    Raises:
        UserError: another shape or value, a class that no image has, more labels than names.
    """
    values = {split: np.asarray(array[:]) for split, array in arrays.items()}
    for split, array in values.items():
        if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
            raise UserError(
                f"labels: those of {split} are {array.dtype} of shape {array.shape}; must be "
                "numbers of shape (N,) or (N, labels)"
            )
    several = {array.shape[1] if array.ndim == 2 else 1 for array in values.values()}
    if len(several) > 1:
        raise UserError(f"labels: splits have {' and '.join(map(str, sorted(several)))} labels")
    count = several.pop()
    if regression or count > 1:
        kind = "regression" if regression else "multilabel"
        tables = {s: a.reshape(len(a), count).astype(np.float32) for s, a in values.items()}
        if not regression:
            _check_zero_one(tables)
        return ArrayLabels(tables, _names(classes, count, "label"), kind)
    columns = {split: array.reshape(len(array)) for split, array in values.items()}
    for split, array in columns.items():
        whole = np.isfinite(array) & (array == np.floor(array)) & (array >= 0)
        if not whole.all():
            row = int((~whole).argmax())
            raise UserError(
                f"labels: {split} row {row} is {array[row]}; must be a whole number from 0 (set "
                "regression: true for other numbers)"
            )
    seen = sorted({int(value) for array in columns.values() for value in np.unique(array)})
    named = _names(classes, max(seen[-1] + 1, 2), "class")
    if lacking := [at for at in range(len(named)) if at not in seen]:
        raise UserError(
            f"labels: no image is of class {lacking[0]} ({named[lacking[0]]}); classes must be "
            "numbered from 0 without a gap"
        )
    task = "binary" if len(named) == 2 else "multiclass"
    return ArrayLabels({s: a.astype(np.int64) for s, a in columns.items()}, named, task)


def _check_zero_one(tables: Mapping[str, np.ndarray]) -> None:
    for split, table in tables.items():
        wrong = ~(np.isin(table, (0, 1)) | np.isnan(table))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise UserError(
                f"labels: {split} row {row} column {column} is {table[row, column]:g}; of several "
                "labels each must be 0, 1 or NaN (set regression: true for other numbers)"
            )


def _names(classes: Sequence[str] | None, count: int, what: str) -> tuple[str, ...]:
    if classes is None:
        return tuple(f"{what}_{at}" for at in range(count))
    if len(classes) != count or len(set(classes)) < count:
        raise UserError(f"classes: are {len(classes)} names; {count} different ones are needed")
    return tuple(classes)
