"""Faithfulness estimate of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import Shape, StepMetric
from xaibench.metrics.quantus.library import REFUSED, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class FaithfulnessEstimate(StepMetric):
    """Quantus: correlation of relevance and score drops, step by step; higher is better.

    Features go to the baseline in groups, in the map's order, each group alone; Pearson's
    correlation of each group's sum of relevance and the drop of the score. In [-1, 1]. Known
    faults of Quantus 0.6: a map of one channel is broken up into channels.
    Undefined where Quantus refuses the map, or relevance or drops are constant.
    Cost: 1 pass, and one a step. Source: Alvarez-Melis and Jaakkola 2018, "Towards robust
    interpretability with self-explaining neural networks", as ``FaithfulnessEstimate`` of
    Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[str] = f"{REFUSED}; or relevance or drops are constant"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range  # of logits, too

    def metric(self, shape: Shape) -> quantus.FaithfulnessEstimate:
        return quantus.FaithfulnessEstimate(**self.asked(shape))

    def passes(self, shape: Shape) -> int:
        return 1 + self.steps(shape)
