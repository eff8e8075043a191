"""Some radiographs at every stage of their preparation, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from xaibench.imaging.picture_files import read_pictures
from xaibench.imaging.preprocess import Prepared, Preprocessing, prepare
from xaibench.types import ColourPicture, Data, Picture


@dataclass(frozen=True, eq=False)
class Stages:
    """One image on its way from the file to the cache.

    Attributes:
        original: as in the file.
        prepared: made anew from it by ``options``.
        cached: as the data set gives it, which should be the same.
    """

    name: str
    original: Picture | ColourPicture
    prepared: Prepared
    cached: UInt8[np.ndarray, "tall wide *colour"]
    options: Preprocessing

    @property
    def cropped(self) -> UInt8[np.ndarray, "rows columns *colour"]:
        return self.prepared.placement.bounds.cut(self.original)


def draw_stages(data: Data, files: pd.DataFrame, count: int, seed: int) -> list[Stages]:
    """Return ``count`` random images; every second one is cropped, as long as there are such.

    Args:
        files: what `survey.file_table` makes of ``data``.
    """
    stages = []
    shuffled = files.iloc[np.random.default_rng(seed).permutation(len(files))]
    # The crop is what may go wrong, and few images of a set may have a frame.
    turn = shuffled.groupby("cropped").cumcount() * 2 + ~shuffled["cropped"].astype(bool)
    chosen = shuffled.assign(turn=turn).sort_values("turn", kind="stable")[:count]
    for row in chosen.itertuples(index=False):
        split = data.splits[row.split]
        frames = [int(row.frame)] if "frame" in files else None
        (original,) = read_pictures(Path(row.path), split.reading, frames)
        prepared = prepare(original, split.preprocessing)
        cached = split.images(np.array([row.index_in_split]))[0]
        cached = cached if split.reading.colour else cached[..., 0]
        stages.append(Stages(Path(row.path).name, original, prepared, cached, split.preprocessing))
    return stages
