"""A small data set in memory whose every count can be read off the page."""

from __future__ import annotations

import numpy as np

from xaibench.types import Data, Split

SIDE = 8


class ToySplit(Split):
    """Noise of its own for each image; the mask of target t of image i is a row of pixels."""

    def __init__(self, name, labels, groups=None, masked=(), seed=0):
        self.labels = np.asarray(labels)
        self.ids = np.array([f"{name}_{at}" for at in range(len(labels))])
        self.groups = self.ids if groups is None else np.array(groups)
        rng = np.random.default_rng([seed, sum(map(ord, name))])
        self.pixels = rng.integers(0, 255, (len(labels), SIDE, SIDE, 1), np.uint8)
        self.masked = set(masked)

    def images(self, indices):
        return self.pixels[indices]

    def masks(self, indices, targets):
        mask = np.zeros((len(indices), SIDE, SIDE), bool)
        for at, (index, target) in enumerate(zip(indices, targets, strict=True)):
            mask[at, target] = index in self.masked
        return {"row": mask, "empty": np.zeros_like(mask)}


def toy(task="binary", classes=("a", "b"), facts=None, **splits):
    size = (SIDE, SIDE)
    return Data("toy", task, classes, 1, size, splits, "sum", facts or {})
