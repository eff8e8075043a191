"""How one image is divided into segments. Imports no torch, for worker processes load it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float, Float32, Int, Integer

from xaibench.errors import PluginError


class Segmentation(ABC):
    """Divides an image into segments; its fields are the algorithm's parameters.

    A subclass is a frozen dataclass with ``id`` and one method, ``segment``. It stands at the top
    level of an importable module, so that worker processes can be sent it.
    """

    seeded: ClassVar[bool] = False
    """True where the segments depend on the image's seed too."""

    @property
    @abstractmethod
    def id(self) -> str:
        """All that the segments of an image depend on: algorithm, parameters, library's version."""

    @abstractmethod
    def segment(
        self, image: Float32[np.ndarray, "channel height width"], seed: int
    ) -> Integer[np.ndarray, "height width"]:
        """Return a label map of an image in [0, 1], numbered in any way."""

    @final
    def __call__(
        self, image: Float32[np.ndarray, "channel height width"], seed: int
    ) -> Int[np.ndarray, "height width"]:
        """Return the label map, labels 0..K-1; raises PluginError where it is not the image's."""
        labels = self.segment(image, seed)
        if labels.shape != image.shape[1:]:
            raise PluginError(
                f"{self.id}: labels of shape {labels.shape}, must be {image.shape[1:]}"
            )
        # Numbered anew without gaps: the engine's masks count segments from 0 to K - 1.
        return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)


def as_color(
    image: Float[np.ndarray, "channel height width"],
) -> Float[np.ndarray, "height width color"]:
    """Return the image channels last, a grey one as three equal channels."""
    color = np.repeat(image, 3, axis=0) if len(image) == 1 else image
    return color.transpose(1, 2, 0)
