"""Monotonicity of Arya et al., as Quantus has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import Shape, StepMetric
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Monotonicity(StepMetric):
    """Quantus: 1 where the score never falls as features come back, least relevant first.

    Higher is better; 0 or 1. Known fault of Quantus 0.6: it starts from the baseline and
    replaces features by that baseline, so that the image never comes back and the value is 1
    for every map (other than by ``uniform``, whose values are noise). It is here to be compared
    with, not to be used. ``abs`` is True, as in Quantus.
    Undefined where Quantus refuses the map.
    Cost: a pass a step. Source: Arya et al. 2019, "One explanation does not fit all", as
    ``Monotonicity`` (Arya) of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    expected: ClassVar[dict[str, str]] = {
        "depends on the map": "Quantus 0.6 gives 1 for every map, see its docstring"
    }

    abs: bool = True

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range  # of logits, too

    def metric(self, shape: Shape) -> quantus.Monotonicity:
        return quantus.Monotonicity(**self.asked(shape))

    def passes(self, shape: Shape) -> int:
        return self.steps(shape)
