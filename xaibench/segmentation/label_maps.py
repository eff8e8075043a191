"""One image's label map: what names it, its file, and how it is computed. Imports no torch."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, UInt

from xaibench.atomic import replacing
from xaibench.segmentation.base import Segmentation

_UNREADABLE = (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The label map of an image, which may be on disk already.

    Attributes:
        image: in [0, 1], contiguous: its bytes are part of the key.
        folder: where label maps are kept; None for nowhere.
    """

    segmentation: Segmentation
    image: Float32[np.ndarray, "channel height width"]
    seed: int
    folder: Path | None

    @cached_property
    def key(self) -> str:
        """The hash of all that the labels depend on."""
        seed = self.seed if self.segmentation.seeded else ""
        about = f"{self.segmentation.id}\n{self.image.shape}\n{seed}\n"
        return hashlib.sha256(about.encode() + self.image.tobytes()).hexdigest()

    @property
    def file(self) -> Path | None:
        return self.folder and self.folder / self.key[:2] / f"{self.key}.npz"

    def compute(self) -> Int[np.ndarray, "height width"]:
        """Return the labels 0..K-1, and keep them in the file, in the smallest type."""
        labels = self.segmentation(self.image, self.seed)
        if self.file is not None:
            with replacing(self.file) as partial:
                np.savez_compressed(partial, labels=labels.astype(np.min_scalar_type(labels.max())))
        return labels

    def read(self) -> UInt[np.ndarray, "height width"] | None:
        """Return the labels from the file; None where it is missing or no label map of ours."""
        if self.file is None:
            return None
        try:
            # Opened here, for numpy leaves a file open that it finds to be broken.
            with self.file.open("rb") as file:
                labels = np.load(file, allow_pickle=False)["labels"]
        except _UNREADABLE:
            return None
        if labels.shape != self.image.shape[1:] or labels.dtype.kind != "u":
            return None
        # A number without pixels would become a mask of nothing.
        whole = labels.max() < labels.size and np.bincount(labels.ravel().astype(np.int64)).all()
        return labels if whole else None
