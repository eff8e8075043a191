"""Which columns of a table say what the images show, told by their names and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.recognition.guess import Guess
from xaibench.imaging.recognition.names import ASIDE, LABEL, called
from xaibench.imaging.tables import numbers

_ZERO_ONE = frozenset({"0", "1", "0.0", "1.0"})
_UNCERTAIN = frozenset({"-1", "-1.0", "u", "U"})
_SEPARATORS = ("|", ";", ",")
_MOST = 30  # classes that are taken for such


def take_labels(guess: Guess, table: pd.DataFrame, names: Sequence[str], where: str) -> None:
    """Add to a guess what the columns left over are taken for.

    A column called label or the like goes before columns of 0 and 1, and these before the first
    one of few values.

    Raises:
        UserError: no column could be a label.
    """
    binary = [name for name in names if _is_binary(table[name])]
    few = [n for n in names if n not in binary and 2 <= table[n].nunique() <= _MOST]
    few = [n for n in few if table[n].value_counts().min() >= 2 and n not in called(few, ASIDE)]
    if named := called(names, LABEL):
        _take_one(guess, table[named[0]])
        others = [name for name in binary if name != named[0]]
        if len(others) > 1:
            guess.unsure.append(f"for several labels: labels: [{', '.join(others)}], and no label")
    elif len(binary) > 1:
        _take_several(guess, table[binary])
    elif binary or few:
        _take_one(guess, table[(binary or few)[0]])
        if others := (binary + few)[1:]:
            guess.unsure.append(f"label: might be {' or '.join(others)} as well")
    else:
        raise UserError(
            f"{where}: no column says what the images show; has {', '.join(names) or 'no other'}; "
            "name it label"
        )


def _take_one(guess: Guess, cells: pd.Series) -> None:
    name, known = str(cells.name), cells.dropna()
    guess.settings["label"] = name
    separator = next((s for s in _SEPARATORS if _is_list(known, s)), None)
    values = sorted(known.unique())
    if separator is not None:
        guess.settings["separator"] = separator
        parts = {part.strip() for cell in values for part in cell.split(separator)}
        guess.took.append(f"labels: lists in {name!r} of {_some(sorted(parts))}")
    elif len(values) > _MOST and not np.isnan(numbers(known)).any():
        guess.settings["regression"] = guess.regression = True
        guess.took.append(f"label: the numbers in {name!r}")
        guess.unsure.append(f"{name!r} has {len(values)} values, so that a regressor is trained")
    else:
        guess.took.append(f"classes: {_some(values)}, in {name!r}")
        odd = [value for value in values if value in _UNCERTAIN]
        _policies(guess, bool(odd), len(known) < len(cells), "leave_out")
        return
    _policies(guess, False, len(known) < len(cells), "leave_out")


def _take_several(guess: Guess, cells: pd.DataFrame) -> None:
    guess.settings["labels"] = list(cells)
    guess.took.append(f"labels: the columns of 0 and 1 {', '.join(cells)}")
    uncertain = cells.isin(_UNCERTAIN).any(axis=None)
    _policies(guess, bool(uncertain), bool(cells.isna().any(axis=None)), "ignore")
    if (cells.isin({"1", "1.0"}).sum(axis=1) == 1).all():
        guess.unsure.append(
            "each row has just one 1, so these may be classes that exclude each other: they are "
            "scored as labels; a column `label` with the class's name would make them classes"
        )


def _policies(guess: Guess, uncertain: bool, missing: bool, policy: str) -> None:
    said: Mapping[str, bool] = {"uncertain": uncertain, "missing": missing}
    what: dict[str, Any] = {key: policy for key, there in said.items() if there}
    guess.settings.update(what)
    for key in what:
        does = "leaves the row out" if policy == "leave_out" else "counts it neither way"
        guess.unsure.append(f"some labels are {key}; {key}: {policy} {does}")


def _is_binary(cells: pd.Series) -> bool:
    values = set(cells.dropna().unique())
    return bool(values & _ZERO_ONE) and values <= _ZERO_ONE | _UNCERTAIN and len(values) > 1


def _is_list(known: pd.Series, separator: str) -> bool:
    """Return whether cells are lists of few names, most of which stand in several lists.

    So ``nevus, blue`` is no list, but a name, where nothing else has ``blue``.
    """
    lists = [{part.strip() for part in cell.split(separator)} for cell in known.unique()]
    counts = Counter(part for parts in lists for part in parts)
    shared = sum(count > 1 for count in counts.values())
    return max(map(len, lists), default=0) > 1 and len(counts) <= _MOST and 2 * shared > len(counts)


def _some(values: Sequence[str]) -> str:
    return ", ".join(values[:6]) + (f", ... ({len(values)})" if len(values) > 6 else "")
