"""Pointing game: does the most relevant pixel lie on the evidence?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import NonNegativeInt
from torch.nn import functional as F

from xaibench.engine import Evidence, Maps, PerImage, Seeds
from xaibench.metrics.base import LocalisationMetric
from xaibench.randomness import descending_order
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class PointingGame(LocalisationMetric):
    """1 where the most relevant pixel lies on the evidence mask, else 0; higher is better.

    ``tolerance`` widens the mask by so many pixels in each direction (a square; TorchRay allows
    15 pixels). Several pixels that share the maximum: one is drawn by the image's seed.
    Undefined where the mask is empty. No passes. Source: Zhang et al. 2018, "Top-down neural
    attention by excitation backprop", 5.1.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded"}

    tolerance: NonNegativeInt = 0

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        peak = descending_order(maps.flatten(1), seeds)[:, :1]
        wide = F.max_pool2d(mask[:, None].float(), 2 * self.tolerance + 1, 1, self.tolerance)
        return wide.flatten(1).gather(1, peak)[:, 0].double()
