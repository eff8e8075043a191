"""Effective complexity of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.metrics.quantus.base import QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class EffectiveComplexity(QuantusMetric):
    """Quantus: number of pixels of more than ``eps`` of the largest relevance; lower is simpler.

    Of absolute values; in [1, HW]. The paper's own definition is another one: see
    ``effective_complexity``.
    Undefined where Quantus refuses the map.
    Cost: 0 passes. Source: Nguyen and Martinez 2020, "On quantitative aspects of model
    interpretability", as ``EffectiveComplexity`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (1.0, math.inf)

    expected: ClassVar[dict[str, str]] = {
        "depends on the map": "of maps without values near zero it counts every pixel"
    }

    eps: Annotated[float, Field(ge=0, lt=1)] = 1e-5

    def metric(self, shape: Shape) -> quantus.EffectiveComplexity:
        return quantus.EffectiveComplexity(**QUIET, eps=self.eps)
