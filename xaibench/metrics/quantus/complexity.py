"""Complexity of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Complexity(QuantusMetric):
    """Quantus: entropy of the absolute relevance over the pixels; lower is simpler.

    In nats, in [0, ln HW]. ``complexity`` is the same, without the 1e-12 in its logarithm.
    Undefined where Quantus refuses the map.
    Cost: 0 passes. Source: Bhatt, Weller and Moura 2020, "Evaluating and aggregating
    feature-based model explanations", as ``Complexity`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def metric(self, shape: Shape) -> quantus.Complexity:
        return quantus.Complexity(**QUIET)
