"""A data set with several labels as one of them sees it: what a model of its own is trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from xaibench.types import Data, Images, Rows, Split


def one_label(data: Data, label: str) -> Data:
    """Return the data set with ``label`` as its only one; its name and its images stay.

    Args:
        data: of several labels or outputs (task ``multilabel`` or ``regression``).
        label: one of ``data.classes``.
    """
    at = data.classes.index(label)
    splits = {name: OneLabelSplit(split, at) for name, split in data.splits.items()}
    return replace(data, classes=(label,), splits=splits)


class OneLabelSplit(Split):
    """A split whose labels are one column of the original's, (n, 1)."""

    def __init__(self, split: Split, label: int) -> None:
        self._split, self._label = split, label
        self.ids, self.groups = split.ids, split.groups
        self.labels = split.labels[:, [label]]

    def images(self, indices: Rows) -> Images:
        return self._split.images(indices)

    def masks(self, indices: Rows, targets: Rows) -> dict[str, Bool[np.ndarray, "n height width"]]:
        # The only target here, 0, is the label's number in the original.
        return self._split.masks(indices, targets + self._label)
