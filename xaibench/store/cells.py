"""A cell of work, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cell:
    """One explainer on one block of images: the unit of work.

    Attributes:
        explainer: its label; None for what belongs to the images whoever explains them: metrics
            that need no map, and superpixels.
    """

    explainer: str | None
    block: int

    @property
    def folder(self) -> str:
        return f"{self.block:05d}/{self.explainer or '_images'}"  # no label begins with _


@dataclass(frozen=True)
class CellResult:
    """What a cell gives: rows of the three tables, and its maps (NaN where there is none).

    The cell without an explainer has no maps, but the superpixels that all the others used.
    """

    scores: Sequence[Mapping[str, object]]
    curves: Sequence[Mapping[str, object]]
    timing: Mapping[str, object]
    maps: np.ndarray | None
    segments: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that there are, by their names."""
        found = {"maps": self.maps, "segments": self.segments}
        return {name: array for name, array in found.items() if array is not None}
