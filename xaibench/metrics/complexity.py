"""Complexity: over how many pixels is the relevance spread?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from xaibench.engine import Batch, Maps
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Complexity(MapMetric):
    """Entropy of the absolute relevance over the pixels; lower is simpler.

    H = -sum_i P(i) ln P(i) in nats, P(i) = |a_i| / sum_j |a_j| the share of pixel i. In
    [0, ln HW]: 0 where one pixel holds everything, ln HW where all are equal; exp(H) is the number
    of equal pixels that are as complex. It grows with the image, so compare maps of one size.
    Undefined where the map is zero everywhere.
    Cost: 0 passes. Source: Bhatt, Weller and Moura 2020, "Evaluating and aggregating
    feature-based model explanations", the definition of complexity.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    conventions: ClassVar[dict[str, str]] = {"relevance": "absolute", "unit": "nats"}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        size = maps.double().abs().flatten(1)
        shares = size / size.sum(1, keepdim=True)
        # An entropy of one pixel is 0, and not -0 by rounding.
        values = torch.special.entr(shares).sum(1).clamp_min(0)
        return Scores({self.name: values}, undefined={self.name: "all relevance is zero"})
