"""Attribution localisation of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import MaskMetric
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class AttributionLocalisation(MaskMetric):
    """Quantus: share of the relevance that lies on the mask; higher is better.

    In [0, 1] with ``abs``, which is True, as in Quantus: evidence against the target counts as
    well. Known faults of Quantus 0.6: its ``weighted`` multiplies by the mask's share, where
    the paper divides, and takes the size of one image for 0; it is left out.
    ``attribution_localisation`` is the weighted one of the paper, ``mass_accuracy`` the
    unweighted.
    Undefined where the mask is empty or Quantus refuses the map, or signed shares exceed 1.
    Cost: 0 passes. Source: Kohlbrenner et al. 2020, "Towards best practice in explaining neural
    network decisions with LRP", as ``AttributionLocalisation`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-math.inf, 1.0)

    abs: bool = True

    def metric(self, size: tuple[int, int]) -> quantus.AttributionLocalisation:
        return quantus.AttributionLocalisation(**QUIET, abs=self.abs)
