"""The contract of a data set: splits of records, and images by index. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from pydantic import ConfigDict

from xaibench.progress import Progress

Task = Literal["binary", "multiclass", "multilabel", "regression"]
Images = UInt8[np.ndarray, "n height width channel"] | Float[np.ndarray, "n height width channel"]


class Split(ABC):
    """One part of a data set (train, valid, test).

    Attributes:
        ids: image ids, unique within the data set.
        groups: patient or slide of each image; the image's own id where none is known.
        labels: (n,) int for one-of-n classes, (n, L) float for several labels or regression.
    """

    ids: Shaped[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]
    labels: Shaped[np.ndarray, "n *labels"]

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def images(self, indices: np.ndarray) -> Images:
        """Return the images at ``indices``, in that order: uint8, or float32 in [0, 1]."""

    def masks(
        self, indices: np.ndarray, targets: np.ndarray
    ) -> dict[str, Bool[np.ndarray, "n height width"]]:
        """Return name -> where the evidence for each image's target is.

        All False where an image has no such truth: it is unknown, or the target is a class that
        nothing in the image speaks for.

        A name that ends in ``_weak`` is a prior (a region that holds the evidence somewhere),
        not an annotation.
        """
        return {}


@dataclass(frozen=True)
class Data:
    """An opened data set.

    Attributes:
        name: its true name, as every table and figure calls it (``pcam_synthetic`` is not
            ``pcam``).
        classes: the names of classes, labels or outputs.
        size: height and width in pixels.
        checksum: of everything that was read, for the manifest and the checkpoint's key.
        facts: more for the manifest: paths, counts, generator parameters.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]
    splits: Mapping[str, Split]
    checksum: str
    facts: Mapping[str, object] = field(default_factory=dict)


class Dataset(ABC):
    """A plugin that opens a data set; its fields are the parameters that a config may set."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str]

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    def get(self, cache: Path, progress: Progress) -> str:
        """Fetch the files where that can be done; return what was done, or how they are had.

        Raises:
            UserError: a fetch failed.
        """
        return f"{self.name}: its files cannot be fetched; its documentation says what they are"

    @abstractmethod
    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        """Fetch, generate or find the files, and return the data set.

        Args:
            seed: of the run; every random draw (such as a fraction of the training set) uses it.
            cache: a folder for what may be kept between runs.
        """


def channel_mean(split: Split, seed: int, at_most: int = 2048) -> Float[np.ndarray, " channel"]:
    """Return the mean of each channel in [0, 1] over a seeded draw of at most ``at_most`` images.

    This is the ``dataset_mean`` fill. The draw keeps it quick: with 2,048 images the standard
    error of a channel's mean is below 0.004 for any images in [0, 1] whose means vary by 0.2.
    """
    chosen = np.random.default_rng(seed).permutation(len(split))[:at_most]
    chosen.sort()
    total = np.zeros(split.images(chosen[:1]).shape[-1])
    for start in range(0, len(chosen), 256):
        images = split.images(chosen[start : start + 256])
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        total += images.mean(axis=(1, 2), dtype=np.float64).sum(axis=0) / scale
    return (total / len(chosen)).astype(np.float32)
