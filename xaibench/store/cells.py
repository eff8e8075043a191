"""A cell of work, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Cell:
    """One explainer on one block of images, by the model of one training seed: the unit of work.

    Attributes:
        explainer: its label; None for what belongs to the images whoever explains them: metrics
            that need no map, and superpixels.
        seed: of the training; None where the run has only one.
    """

    explainer: str | None
    block: int
    seed: int | None = None

    @property
    def folder(self) -> str:
        own = f"{self.block:05d}/{self.explainer or '_images'}"  # no label begins with _
        return own if self.seed is None else f"seed_{self.seed}/{own}"


@dataclass(frozen=True, eq=False)
class SeedCells:
    """All cells of one training seed.

    Attributes:
        blocks: their number.
        beside: name -> what stands beside the maps in ``maps.h5``: ids, images, masks/NAME.
        seed: of the training; None where the run has only one.
    """

    blocks: int
    beside: Mapping[str, np.ndarray]
    seed: int | None = None

    def of(self, explainer: str | None) -> list[Cell]:
        return [Cell(explainer, block, self.seed) for block in range(self.blocks)]


@dataclass(frozen=True)
class CellResult:
    """What a cell gives: rows of the tables, and its maps (NaN where there is none).

    The cell without an explainer has no maps, but the superpixels that all the others used.

    Attributes:
        known: arrays of what the block's scores were once the cell was done, for the next ones; see
            ``engine.known``.
    """

    scores: Sequence[Mapping[str, object]]
    curves: Sequence[Mapping[str, object]]
    timing: Mapping[str, object]
    maps: np.ndarray | None
    segments: np.ndarray | None = None
    ledger: Sequence[Mapping[str, object]] = ()
    known: Mapping[str, np.ndarray] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that there are, by their names."""
        found = {"maps": self.maps, "segments": self.segments}
        return {name: array for name, array in found.items() if array is not None}
