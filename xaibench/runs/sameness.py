"""What is there now, held against what a finished run left: files, environment, numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.store.cells import Cell
from xaibench.store.schema import ITEM, SEED
from xaibench.store.seal import SEAL, sealed, sums

_ENVIRONMENT = ("code", "python", "system", "processor", "threads", "device")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: was looked at.
        said: what was found.
        passed: None where it is only told, and nothing hangs on it.
    """

    what: str
    said: str
    passed: bool | None


def of_files(folder: Path) -> Iterator[Check]:
    """Yield a check for each file that is not as the run left it, or one for all that are."""
    known = sealed(folder)
    if known is None:
        yield Check(SEAL, "not there: the run was made before checksums were kept", False)
        return
    now = sums(folder)
    for name, checksum in known.items():
        if now.get(name) != checksum:
            said = "has changed since the run was finished" if name in now else "is missing"
            yield Check(name, said, False)
    if all(now.get(name) == checksum for name, checksum in known.items()):
        yield Check("files", f"{len(known)} tables and maps are as they were written", True)


def of_environment(then: Mapping[str, object], now: Mapping[str, object]) -> Iterator[Check]:
    """Yield what differs between the machine and code of the run and those of now."""
    before, after = ({k: e.get(k) for k in _ENVIRONMENT} for e in (then, now))
    before |= then.get("packages", {})
    after |= now.get("packages", {})
    differ = [name for name in after if before.get(name) != after[name]]
    for name in differ:
        short = lambda value: str(value)[:12] if name == "code" else str(value)  # noqa: B023
        said = f"was {short(before.get(name))}, is {short(after[name])}"
        yield Check(name, f"{said}: numbers may differ by rounding or more", None)
    if not differ:
        yield Check("environment", "the same code, packages and device", True)


def of_predictions(
    then: pd.DataFrame, now: pd.DataFrame, tolerance: float, whose: str = ""
) -> Check:
    """Return whether the models say of every image what they said.

    Args:
        whose: of which training seed, in words.
    """
    columns = [c for c in now.columns if c.startswith("p_")]
    old = then.drop_duplicates("image").set_index("image")[columns].reindex(now["image"])
    largest = largest_difference(old.to_numpy(), now[columns].to_numpy())
    said = f"largest difference {largest:.2g} over {len(now)} images"
    return Check(f"predictions{whose}", said, largest <= tolerance)


def of_cell(cell: Cell, then: pd.DataFrame, now: pd.DataFrame, tolerance: float) -> Check:
    """Return whether a cell's scores are those of the run."""
    what = f"{cell.explainer}, block {cell.block}"
    own = then[then["explainer"] == cell.explainer]
    if cell.seed is not None:
        what += f", training seed {cell.seed}"
        own = own[own[SEED] == cell.seed]
    keys = [*ITEM, "metric"]
    both = now.merge(own, on=keys, how="left", suffixes=("", "_then"), indicator=True)
    alone = int((both["_merge"] == "left_only").sum())
    if alone:
        said = f"{alone} of its {len(both)} scores are of images or metrics that the run has not"
        return Check(what, said, False)
    largest = largest_difference(both["value_then"].to_numpy(), both["value"].to_numpy())
    said = f"largest difference {largest:.2g} over {len(both)} scores"
    return Check(what, said, largest <= tolerance)


def largest_difference(then: np.ndarray, now: np.ndarray) -> float:
    """Return the largest absolute difference; two missing values are equal, one is infinitely
    far from any."""
    then, now = then.astype(float), now.astype(float)
    neither, either = np.isnan(then) & np.isnan(now), np.isnan(then) | np.isnan(now)
    far = np.where(either, np.inf, np.abs(then - now))
    return float(np.where(neither, 0.0, far).max(initial=0.0))
