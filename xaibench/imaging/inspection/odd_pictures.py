"""What is odd about the pictures of a data set: blank ones, and the same one twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xaibench.imaging.inspection.samples import label_text
from xaibench.progress import Progress
from xaibench.types import Data

_BLOCK = 256


@dataclass(frozen=True, eq=False)
class OddPictures:
    """Pictures that are odd, as a model would get them.

    Attributes:
        blank: those whose pixels are all equal: ``split``, ``id``.
        twice: those that stand in more than one split, pixel for pixel: ``picture`` (a number for
            each), ``split``, ``id``, ``group``, ``label``; a model that learned one in training is
            not tested by its copy.
        contradictory: those that stand twice with different labels, wherever; as ``twice``.
    """

    blank: pd.DataFrame
    twice: pd.DataFrame
    contradictory: pd.DataFrame


def odd_pictures(data: Data, progress: Progress) -> OddPictures:
    """Read every image, and return the odd ones."""
    rows = []
    with progress.stage("Reading every image", sum(map(len, data.splits.values()))) as advance:
        for name, split in data.splits.items():
            for start in range(0, len(split), _BLOCK):
                indices = np.arange(start, min(start + _BLOCK, len(split)))
                for at, image in zip(indices, split.images(indices), strict=True):
                    content = hashlib.blake2b(np.ascontiguousarray(image), digest_size=16)
                    rows.append(
                        {
                            "split": name,
                            "at": at,
                            "id": str(split.ids[at]),
                            "group": str(split.groups[at]),
                            "blank": bool(image.min() == image.max()),
                            "content": content.hexdigest(),
                        }
                    )
                advance(len(indices))
    table = pd.DataFrame(rows)
    blank = table.loc[table["blank"], ["split", "id"]].reset_index(drop=True)
    # Blank pictures are told already, and all look the same.
    copies = table[~table["blank"] & table["content"].duplicated(keep=False)]
    copies = copies.assign(label=[_label(data, row) for row in copies.itertuples()])
    several = lambda column: copies.groupby("content")[column].transform("nunique") > 1
    return OddPictures(
        blank, _numbered(copies[several("split")]), _numbered(copies[several("label")])
    )


def _label(data: Data, row: object) -> str:
    label = data.splits[row.split].labels[row.at]
    if data.task == "regression":
        return ", ".join(
            f"{name} {value:g}" for name, value in zip(data.classes, label, strict=True)
        )
    return label_text(data, label)


def _numbered(copies: pd.DataFrame) -> pd.DataFrame:
    numbers = copies.groupby("content", sort=False).ngroup() + 1
    shown = copies.assign(picture=numbers).sort_values("picture", kind="stable")
    return shown[["picture", "split", "id", "group", "label"]].reset_index(drop=True)
