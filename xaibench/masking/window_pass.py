"""Passes of images with a window hidden that recompute only what the window reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx
from torch.nn import functional as F

from xaibench.masking.patches import Read, pasted, windowed
from xaibench.masking.reach import Placement
from xaibench.masking.window_plan import WindowPlan

Padded = tuple[fx.Node, tuple[int, int, int, int], float]


@dataclass(frozen=True)
class OwnMaps:
    """What windows are pasted into: maps of the images as they are, and of their fills.

    Attributes:
        clear, hidden: the images and their fills, normalised.
        maps: of each node that is read around patches, padded as it is read.
    """

    clear: Float[Tensor, "image height width channel"]
    hidden: Float[Tensor, "image height width channel"]
    maps: dict[Padded, Float[Tensor, "image height width channel"]]

    def of(self, images: slice) -> OwnMaps:
        """Return those of some of the images."""
        maps = {key: map_[images] for key, map_ in self.maps.items()}
        return OwnMaps(self.clear[images], self.hidden[images], maps)


class WindowPass:
    """Runs a plan: patches where it says so, whole maps elsewhere.

    Args:
        boxes: of the windows; see ``BoxMasks``.
    """

    def __init__(self, plan: WindowPlan, boxes: Int[Tensor, "mask 4"]) -> None:
        self._plan, self._flow, self._boxes = plan, plan.flow, boxes
        self._reads = {key: read.to(boxes.device) for key, read in plan.reads.items()}
        still = Placement.of_patches(plan.reach[plan.flow.image], (Slide(), Slide()))
        self._window = still.to(boxes.device)
        self._padded: dict[fx.Node, set[Padded]] = {}
        for (_, source), read in self._reads.items():
            self._padded.setdefault(source, set()).add(_padded(source, read))
        self._last_own = 0
