"""Completeness: does the relevance add up to what the model's score owes to the image?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Fill, Maps, filled_score, unmasked_score
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Completeness(MapMetric):
    """Distance of the relevance's sum from the score's rise over the fill; lower is better.

    |sum_i a_i - (f(x) - f(x'))|, f the target's score and x' the image of ``fill`` alone. In
    [0, inf), in the unit of the score; 0 is the axiom of completeness (efficiency of Shapley
    values, sensitivity-n with all pixels). It asks for signed relevance in the unit of that
    score, against that same baseline: a map of ranks, of absolute values or scaled to [0, 1] has
    no reason to be complete. Quantus 0.6 asks for equality of floats, after a scaling by the
    map's largest value.
    Cost: 0 passes; both scores are shared by the block. Source: Sundararajan, Taly and Yan 2017,
    "Axiomatic attribution for deep networks", proposition 1.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    fill: Fill = "dataset_mean"
    space: Space = "logit"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range  # of logits, too

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        whole = unmasked_score(model, batch, self.space).double()
        nothing = filled_score(model, batch, self.fill, self.space).double()
        found = maps.double().sum((1, 2))
        return Scores({self.name: (found - (whole - nothing)).abs()})
