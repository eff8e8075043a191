"""Selectivity of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import PatchMetric, Shape
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Selectivity(PatchMetric):
    """Quantus: area under the score as patches fall in the map's order; lower is better.

    Patches by their sum of relevance, the most relevant first, go to the baseline one more at a
    time; the area under the score is the trapezoid with unit steps, without the unperturbed
    image. It grows with the number of patches: compare values of one image size only.
    Undefined where Quantus refuses the map.
    Cost: a pass a patch. Source: Montavon, Samek and Müller 2018, "Methods for interpreting and
    understanding deep neural networks", as ``Selectivity`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def metric(self, shape: Shape) -> quantus.Selectivity:
        return quantus.Selectivity(**self.asked())

    def passes(self, shape: Shape) -> int:
        return self.patches(shape)
