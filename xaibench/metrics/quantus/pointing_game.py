"""Pointing game of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import MaskMetric
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class PointingGame(MaskMetric):
    """Quantus: 1 where a pixel of the largest relevance lies on the mask, else 0; higher is better.

    ``abs`` is True, as in Quantus, so that the strongest evidence against the target counts as
    well; ``pointing_game`` is signed. Of several pixels that share the maximum one on the mask
    is enough. Its ``weighted``, which is left out, raises an error in Quantus 0.6.
    Undefined where the mask is empty or Quantus refuses the map.
    Cost: 0 passes. Source: Zhang et al. 2018, "Top-down neural attention by excitation
    backprop", as ``PointingGame`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    abs: bool = True

    def metric(self, size: tuple[int, int]) -> quantus.PointingGame:
        return quantus.PointingGame(**QUIET, abs=self.abs)
