"""Data sets whose images lie row by row in arrays: their splits, their masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Int, Shaped

from xaibench.errors import UserError
from xaibench.imaging.arrays.files import Array, Part
from xaibench.imaging.arrays.pixels import Pixels, pixels_of
from xaibench.imaging.counts import counts
from xaibench.imaging.own_masks import shown
from xaibench.progress import Progress
from xaibench.types import Data, Images, Labels, Rows, Split, Task


@dataclass(frozen=True, eq=False)
class ArrayMasks:
    """Masks of every row of an array: not 0 where they are.

    Attributes:
        arrays: name of a mask -> (total, height, width).
        only: the class that has a place in the image; None for each its own.
        always: masks that are the same whatever is looked for.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    only: int | None = None
    always: frozenset[str] = frozenset()

    def read(
        self, rows: Rows, labels: Labels, targets: Rows
    ) -> dict[str, Bool[np.ndarray, "n height width"]]:
        speaks = shown(labels, targets)
        if self.only is not None:
            speaks &= targets == self.only
        masks = {name: array.rows(rows) != 0 for name, array in self.arrays.items()}
        return {n: m if n in self.always else m & speaks[:, None, None] for n, m in masks.items()}


@dataclass(frozen=True, eq=False)
class ArraySplit(Split):
    """Rows of arrays, read when asked for.

    Attributes:
        rows: those of this split, in the arrays.
    """

    pixels: Pixels
    rows: Rows
    ids: Shaped[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]
    labels: Labels
    true: ArrayMasks

    def part(self, at: Shaped[np.ndarray, " k"]) -> ArraySplit:
        """Return the images at some places of this split."""
        parts = {name: getattr(self, name)[at] for name in ("rows", "ids", "groups", "labels")}
        return replace(self, **parts)

    def images(self, indices: Int[np.ndarray, " k"]) -> Images:
        return self.pixels.read(self.rows[indices])

    def masks(
        self, indices: Int[np.ndarray, " k"], targets: Int[np.ndarray, " k"]
    ) -> dict[str, Bool[np.ndarray, "k height width"]]:
        return self.true.read(self.rows[indices], self.labels[indices], targets)


def whole_splits(
    parts: Mapping[str, Part],
    labels: Mapping[str, Labels],
    masks: ArrayMasks,
    progress: Progress,
    *,
    bits: int | None = None,
) -> dict[str, ArraySplit]:
    """Return each part whole; an image's id is its split and row. Groups are ids where unknown.

    Args:
        masks: what becomes of those that the parts hold; its own arrays are of no account.

    Raises:
        UserError: images of several shapes, groups that are no names or numbers.
    """
    splits = {}
    for name, part in parts.items():
        pixels = pixels_of(part.images, bits, progress)
        rows = np.arange(pixels.shape[0])
        ids = np.array([f"{name}_{row:06d}" for row in rows])
        groups = ids if part.groups is None else _names(part.groups)
        own = replace(masks, arrays=part.masks)
        splits[name] = ArraySplit(pixels, rows, ids, groups, labels[name], own)
    shapes = {split.pixels.shape[1:]: split.pixels.array.where for split in splits.values()}
    if len(shapes) > 1:
        said = ", of ".join(f"{where} are {shape}" for shape, where in shapes.items())
        raise UserError(f"images: those of {said}; all must be of one shape")
    return splits


def array_data(
    name: str,
    task: Task,
    classes: Sequence[str],
    splits: Mapping[str, ArraySplit],
    checksum: str,
    facts: Mapping[str, object],
) -> Data:
    """Return a data set of arrays; ``facts`` go before what is said of the splits."""
    _, *size, channels = splits["train"].pixels.shape
    return Data(
        name=name,
        task=task,
        classes=tuple(classes),
        channels=channels,
        size=tuple(size),
        splits=splits,
        checksum=checksum,
        facts={**facts, **counts(splits, classes)},
    )


def _names(groups: Array) -> Shaped[np.ndarray, " n"]:
    names = groups.whole()
    if names.ndim == 2 and names.shape[1] == 1:
        names = names[:, 0]
    if names.ndim != 1 or names.dtype.kind not in "iuSOU":
        raise UserError(
            f"groups: {groups.where} must be whole numbers or text, one an image; is "
            f"{names.dtype} {names.shape}; mend it or leave it out"
        )
    if names.dtype.kind in "SO":
        names = np.array([n.decode() if isinstance(n, bytes) else str(n) for n in names])
    return names.astype(str)
