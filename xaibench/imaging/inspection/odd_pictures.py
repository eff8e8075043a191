"""What is odd about the pictures of a data set: blank ones, and the same one in two splits."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from xaibench.progress import Progress
from xaibench.types import Data

_BLOCK = 256


def odd_pictures(data: Data, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the blank pictures and the repeated ones, as a model would get them.

    Returns:
        The pictures whose pixels are all equal: ``split``, ``id``. And the pictures that stand in
        more than one split, pixel for pixel: ``picture`` (a number for each), ``split``, ``id``,
        ``group``; a model that learned one in training is not tested by its copy.
    """
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
                            "id": str(split.ids[at]),
                            "group": str(split.groups[at]),
                            "blank": bool(image.min() == image.max()),
                            "content": content.hexdigest(),
                        }
                    )
                advance(len(indices))
    table = pd.DataFrame(rows)
    blank = table.loc[table["blank"], ["split", "id"]].reset_index(drop=True)
    twice = table[table.groupby("content")["split"].transform("nunique") > 1]
    twice = twice[~twice["blank"]]  # blank pictures are told already, and all look the same
    numbers = twice.groupby("content", sort=False).ngroup() + 1
    twice = twice.assign(picture=numbers).sort_values("picture", kind="stable")
    return blank, twice[["picture", "split", "id", "group"]].reset_index(drop=True)
