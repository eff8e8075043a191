"""Whether the splits of a data set show the same: classes that one lacks, shares that differ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from xaibench.imaging.counts import label_values
from xaibench.types import Data

ODDS, CHANCE = 2.0, 0.001
"""Shares differ strongly where the odds do by this factor, and chance does so less often."""


def lacking(data: Data) -> pd.DataFrame:
    """Return what a split has no image of: ``split``, ``what`` in words.

    That is a class; of several labels, images with one or without one; an output's known values.
    """
    rows = []
    for name, split in data.splits.items():
        values = label_values(split.labels, data.classes)
        for label, column in zip(data.classes, values.T, strict=True):
            if data.task == "regression":
                lacks = {f"with a known {label}": ~np.isnan(column)}
            elif data.task == "multilabel":
                lacks = {f"with {label}": column >= 0.5, f"without {label}": column < 0.5}
            else:
                lacks = {f"of class {label}": column >= 0.5}
            rows += [(name, what) for what, there in lacks.items() if not there.any()]
    return pd.DataFrame(rows, columns=["split", "what"])


def unequal(data: Data) -> pd.DataFrame:
    """Return the classes or labels whose share in a split is far from that in train.

    The odds differ by `ODDS` or more, and Fisher's exact test of the images has p < `CHANCE`; a
    class that a split lacks is told by `lacking`. Of two classes, which mirror each other, the
    second.

    Returns:
        ``label``, ``split``, ``share`` there and ``train``, both in [0, 1]. Empty for numbers.
    """
    rows = [] if data.task == "regression" else list(_unequal(data))
    return pd.DataFrame(rows, columns=["label", "split", "share", "train"])


def _unequal(data: Data) -> Iterator[tuple[str, str, float, float]]:
    values = {name: label_values(s.labels, data.classes) for name, s in data.splits.items()}
    train = values.pop("train", None)
    if train is None:
        return
    first = 1 if data.task == "binary" and len(data.classes) == 2 else 0
    for at, label in list(enumerate(data.classes))[first:]:
        for name, others in values.items():
            counts = [_counts(part[:, at]) for part in (others, train)]
            (yes, no), (yes_train, no_train) = counts
            if 0 in (yes, no, yes_train, no_train):
                continue
            odds = yes * no_train / (no * yes_train)
            if max(odds, 1 / odds) >= ODDS and fisher_exact(counts).pvalue < CHANCE:
                yield label, name, yes / (yes + no), yes_train / (yes_train + no_train)


def _counts(column: np.ndarray) -> tuple[int, int]:
    """Return how many images show it, and how many do not; of others nobody knows."""
    return int((column >= 0.5).sum()), int((column < 0.5).sum())
