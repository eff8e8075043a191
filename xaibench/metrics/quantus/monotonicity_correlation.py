"""Monotonicity of Nguyen and Martinez, as Quantus has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.metrics.quantus.base import Baseline, Shape, StepMetric
from xaibench.metrics.quantus.library import REFUSED, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class MonotonicityCorrelation(StepMetric):
    """Quantus: rank correlation of relevance and what the score varies by; higher is better.

    Groups of features in the map's order are replaced by ``perturb_baseline`` (``uniform``),
    ``nr_samples`` times each; Spearman's correlation of each group's sum of relevance and the
    mean squared change of the score over the score's square. In [-1, 1]. ``nr_samples`` is 4
    (Quantus: 100); ``abs`` is True, as in Quantus. ``uniform`` is one number for all replaced
    features of a draw.
    Undefined where Quantus refuses the map, or relevance or changes are constant.
    Cost: 1 pass, and ``nr_samples`` a step. Source: Nguyen and Martinez 2020, "On quantitative
    aspects of model interpretability", as ``MonotonicityCorrelation`` (Nguyen) of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[str] = f"{REFUSED}; or relevance or changes are constant"

    checked_with: ClassVar[dict[str, int]] = {"nr_samples": 1}

    perturb_baseline: Baseline = "uniform"
    abs: bool = True
    nr_samples: Annotated[int, Field(ge=1)] = 4
    eps: Annotated[float, Field(gt=0)] = 1e-5

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range  # of logits, too

    def metric(self, shape: Shape) -> quantus.MonotonicityCorrelation:
        own = {"nr_samples": self.nr_samples, "eps": self.eps}
        return quantus.MonotonicityCorrelation(**self.asked(shape), **own)

    def passes(self, shape: Shape) -> int:
        return 1 + self.nr_samples * self.steps(shape)
