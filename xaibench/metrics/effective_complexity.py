"""Effective complexity: how many pixels have any relevance worth the name?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from xaibench.engine import Batch, Maps
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class EffectiveComplexity(MapMetric):
    """Number of pixels whose absolute relevance is above a threshold; lower is simpler.

    #{i: |a_i| > eps max_j |a_j|}, in [1, HW]. ``eps`` is 1e-5, as in Quantus, whose definition
    this is: the threshold is on the relevance. Nguyen and Martinez instead take the smallest k such
    that the expected loss stays below a tolerance while all but the k most relevant features are
    drawn anew: how many features the model needs, which asks for passes and is what
    ``insertion`` measures in another way. Undefined where the map is zero everywhere.
    Cost: 0 passes. Source: Nguyen and Martinez 2020, "On quantitative aspects of model
    interpretability", as Quantus 0.6 computes it.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (1.0, math.inf)
    conventions: ClassVar[dict[str, str]] = {"relevance": "absolute"}

    expected: ClassVar[dict[str, str]] = {
        "depends on the map": "of maps without values near zero it counts every pixel"
    }

    eps: Annotated[float, Field(ge=0, lt=1)] = 1e-5

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        size = maps.double().abs().flatten(1)
        most = size.amax(1, keepdim=True)
        counts = (size > self.eps * most).sum(1).double()
        values = counts.where(most[:, 0] > 0, torch.nan)
        return Scores({self.name: values}, undefined={self.name: "all relevance is zero"})
