"""Data sets whose images lie row by row in HDF5 files, each with one label: shown or not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Int, Shaped

from xaibench.imaging.hdf5 import opened, read_rows
from xaibench.types import Data, Images, Rows, Split


@dataclass(frozen=True, eq=False)
class StoredSplit(Split):
    """Rows of one file, read when asked for.

    Attributes:
        stored: all images of the file, (total, height, width, channel), uint8 or float.
        rows: those of this split.
        labels: 1 where an image shows what is looked for, else 0.
        true_masks: of generated images: the file of their masks, and the names to return.
        scale: what pixels that are no uint8 are divided by to lie in [0, 1].
    """

    stored: h5py.Dataset
    rows: Rows
    ids: Shaped[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]
    labels: Rows
    true_masks: tuple[Path, tuple[str, ...]] | None
    scale: float

    @classmethod
    def whole(
        cls,
        name: str,
        stored: h5py.Dataset,
        labels: Rows,
        groups: Shaped[np.ndarray, " n"] | None,
        true_masks: tuple[Path, tuple[str, ...]] | None,
        scale: float = 255.0,
    ) -> StoredSplit:
        """Return a whole file; its ids are its name and the row. Groups are ids where unknown."""
        rows = np.arange(len(labels))
        ids = np.array([f"{name}_{row:06d}" for row in rows])
        return cls(stored, rows, ids, ids if groups is None else groups, labels, true_masks, scale)

    def part(self, at: Shaped[np.ndarray, " k"]) -> StoredSplit:
        """Return the images at some places of this split."""
        parts = {name: getattr(self, name)[at] for name in ("rows", "ids", "groups", "labels")}
        return replace(self, **parts)

    def images(self, indices: Int[np.ndarray, " k"]) -> Images:
        pixels = read_rows(self.stored, self.rows[indices])
        return pixels if pixels.dtype == np.uint8 else (pixels / self.scale).astype(np.float32)

    def masks(
        self, indices: Int[np.ndarray, " k"], targets: Int[np.ndarray, " k"]
    ) -> dict[str, Bool[np.ndarray, "k height width"]]:
        if self.true_masks is None:
            return {}
        file, names = self.true_masks
        with opened(file) as held:
            masks = {name: read_rows(held[name], self.rows[indices]) > 0 for name in names}
        # The lungs are where they are; only what is looked for has a place of its own.
        shown = self.shown(indices, targets)
        return {name: m if name == "lungs" else m & shown for name, m in masks.items()}

    def shown(
        self, indices: Int[np.ndarray, " k"], targets: Int[np.ndarray, " k"]
    ) -> Bool[np.ndarray, "k 1 1"]:
        """Return whether each image shows its target; nothing in particular speaks for absence."""
        return ((self.labels[indices] == 1) & (targets == 1))[:, None, None]


def stored_data(
    name: str,
    classes: tuple[str, str],
    splits: Mapping[str, StoredSplit],
    sums: Mapping[str, str],
    facts: Mapping[str, object],
) -> Data:
    """Return a data set of stored images.

    Args:
        sums: file name -> MD5 of all that is read.
        facts: go before what is said of the files and splits.
    """
    _, *size, channels = splits["train"].stored.shape
    return Data(
        name=name,
        task="binary",
        classes=classes,
        channels=channels,
        size=tuple(size),
        splits=splits,
        checksum=hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest(),
        facts={
            **facts,
            "files": sums,
            "images": {s: len(split) for s, split in splits.items()},
            "positives": {s: int(split.labels.sum()) for s, split in splits.items()},
            "groups": {s: len(set(split.groups)) for s, split in splits.items()},
        },
    )
