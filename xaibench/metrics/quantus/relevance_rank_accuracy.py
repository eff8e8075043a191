"""Relevance rank accuracy of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import MaskMetric
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RelevanceRankAccuracy(MaskMetric):
    """Quantus: share of the top K pixels that lie on the mask of K pixels; higher is better.

    In [0, 1]. Ties go in the order in which its sorting leaves them, so that a map with many
    equal values depends on it; ``relevance_rank_accuracy`` draws them.
    Undefined where the mask is empty or Quantus refuses the map.
    Cost: 0 passes. Source: Arras et al. 2022, "CLEVR-XAI", equation 3, as
    ``RelevanceRankAccuracy`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    abs: bool = False

    def metric(self, size: tuple[int, int]) -> quantus.RelevanceRankAccuracy:
        return quantus.RelevanceRankAccuracy(**QUIET, abs=self.abs)
