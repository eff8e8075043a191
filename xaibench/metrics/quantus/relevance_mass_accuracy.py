"""Relevance mass accuracy of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import MaskMetric
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RelevanceMassAccuracy(MaskMetric):
    """Quantus: relevance on the mask over all relevance; higher is better.

    Known fault of Quantus 0.6: relevance is signed (``abs`` is False), where the paper sums
    positive relevance; a sum near zero makes the value as large as one likes, with either sign.
    With ``abs`` it is in [0, 1]. ``mass_accuracy`` is the paper's.
    Undefined where the mask is empty or Quantus refuses the map.
    Cost: 0 passes. Source: Arras et al. 2022, "CLEVR-XAI", equation 2, as
    ``RelevanceMassAccuracy`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    abs: bool = False

    def metric(self, size: tuple[int, int]) -> quantus.RelevanceMassAccuracy:
        return quantus.RelevanceMassAccuracy(**QUIET, abs=self.abs)
