"""What may be wrong with a data set, in words: each fault with the images, patients or labels."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from xaibench.imaging.inspection.balance import lacking, unequal
from xaibench.imaging.inspection.odd_pictures import OddPictures
from xaibench.imaging.inspection.survey import groups_in_two_splits
from xaibench.types import Data

SOUND = (
    "No warnings: no patient and no picture is in two splits, none is blank or has two labels, "
    "each split has every class in like shares"
)


@dataclass(frozen=True)
class Warned:
    """A fault and where it is found; ``cases`` may be many."""

    what: str
    cases: tuple[str, ...] = ()


def warnings_of(data: Data, odd: OddPictures) -> list[Warned]:
    """Return what may be wrong, the gravest first; nothing of a sound set."""
    told = [
        ("patients in more than one split: {}", _patients(data)),
        ("pictures in more than one split: {}", _pictures(odd.twice, "split")),
        ("pictures that stand twice, with different labels: {}", _pictures(odd.contradictory)),
        ("blank pictures: {}", [f"{row.id} ({row.split})" for row in odd.blank.itertuples()]),
        ("splits that lack something: {}", _lacking(data)),
        ("shares that differ between splits: {}", _shares(data)),
    ]
    found = [Warned(what.format(len(cases)), tuple(cases)) for what, cases in told if cases]
    total = sum(map(len, data.splits.values()))
    if alone := sum(int((split.groups == split.ids).sum()) for split in data.splits.values()):
        found.append(
            Warned(
                f"images of unknown patients: {alone} of {total}; each counts as a patient of its "
                "own, and those of one patient may be in two splits"
            )
        )
    return found


def _patients(data: Data) -> list[str]:
    return [f"{row.group} is in {row.splits}" for row in groups_in_two_splits(data).itertuples()]


def _pictures(copies: pd.DataFrame, shown: str = "label") -> list[str]:
    return [
        ", ".join(f"{row.id} ({getattr(row, shown)})" for row in rows.itertuples())
        for _, rows in copies.groupby("picture")
    ]


def _lacking(data: Data) -> list[str]:
    return [f"{row.split} has no image {row.what}" for row in lacking(data).itertuples()]


def _shares(data: Data) -> list[str]:
    return [
        f"{row.label}: {row.share:.1%} in {row.split}, {row.train:.1%} in train"
        for row in unequal(data).itertuples()
    ]
