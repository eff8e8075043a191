"""What flows through a run: the opened data set, and the words for tasks, heads and scores.

Imports no torch, so that a config is checked, and tables are read, without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

Task = Literal["binary", "multiclass", "multilabel", "regression"]
Head = Literal["softmax", "single_logit", "multilabel", "regression"]
Space = Literal["prob", "logit"]
Precision = Literal["fp32", "bf16"]
"""``fp32``: true float32 (TF32 stays off). ``bf16``: weights and activations in bfloat16, the
head in float32; about twice as fast where the processor has it, and in every protocol id."""

Gradients = Literal["exact", "folded"]
"""What gradients are taken through. ``exact``: the network as it is. ``folded``: batch norms made
part of convolutions, 1.3 to 1.8 times as fast on CPUs; equal but for rounding, and where it turns
a ReLU."""

BackendName = Literal["eager", "inductor", "openvino", "cuda_graph"]
"""What forward passes run through; see ``engine.backends``. ``inductor`` takes half a minute at the
start of each run, ``cuda_graph`` needs a CUDA device, ``openvino`` a CPU."""

FigureFormat = Literal["png", "pdf", "svg"]
"""``png``: what ``report.html`` shows. ``pdf`` and ``svg``: for a paper, sharp at any size."""

VALIDATION = "valid"
"""The split on which training is watched and thresholds are chosen."""

MIN_GROUPS = 6
"""Patients or slides below which nothing is tested: 2 / 2^6 = 0.031, and 2 / 2^5 = 0.063."""

# Names for the shapes of arrays.
Images = UInt8[np.ndarray, "n height width channel"] | Float[np.ndarray, "n height width channel"]
Labels = Shaped[np.ndarray, "n *labels"]
"""(n,) int for one-of-n classes, (n, L) float for several labels or regression; NaN: missing."""
Rows = Int[np.ndarray, " n"]
"""Numbers of images or rows, in any order."""
Picture = UInt8[np.ndarray, "height width"]
"""One image in grey."""
ColourPicture = UInt8[np.ndarray, "height width 3"]
"""One image in red, green and blue."""
Mask = Bool[np.ndarray, "height width"]


class Split(ABC):
    """One part of a data set (train, valid, test).

    Attributes:
        ids: image ids, unique within the data set.
        groups: patient or slide of each image; the image's own id where none is known.
        labels: (n,) int for one-of-n classes, (n, L) float for several labels or regression.
    """

    ids: Shaped[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]
    labels: Labels

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


@dataclass
class PassCount:
    """Images passed through the model, forward and backward, as they were asked for.

    Attributes:
        shared: those of ``forward`` that were not made, since their scores were known.
        block: forward passes beside them, for scores that a block's explainers and metrics share,
            which are counted for nobody. So ``forward - shared + block`` were made.
    """

    forward: int = 0
    backward: int = 0
    # A method costs the same, whatever others had asked for before.
    shared: int = field(default=0, compare=False)
    block: int = field(default=0, compare=False)

    def since(self, earlier: PassCount) -> PassCount:
        return PassCount(
            *(now - then for now, then in zip(self._counts, earlier._counts, strict=True))
        )

    def copy(self) -> PassCount:
        return PassCount(*self._counts)

    def __add__(self, other: PassCount) -> PassCount:
        return PassCount(*map(sum, zip(self._counts, other._counts, strict=True)))

    @property
    def _counts(self) -> tuple[int, int, int, int]:
        return self.forward, self.backward, self.shared, self.block
