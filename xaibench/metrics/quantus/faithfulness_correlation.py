"""Faithfulness correlation of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.errors import UserError
from xaibench.metrics.quantus.base import Baseline, QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, REFUSED, quantus
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class FaithfulnessCorrelation(QuantusMetric):
    """Quantus: correlation of relevance and score drops of random subsets; higher is better.

    ``nr_runs`` times a random subset of ``subset_size`` features goes to the baseline;
    Pearson's correlation of the subset's sum of relevance and the drop of the score. In [-1,
    1]. Features are channels of pixels, drawn by the image's seed; ``subset_size`` must be
    smaller than the number of pixels. Both numbers are those of Quantus, which gives the mean
    over images.
    Undefined where Quantus refuses the map, or the sums or drops are constant.
    Cost: 1 + ``nr_runs`` passes. Source: Bhatt, Weller and Moura 2020, "Evaluating and
    aggregating feature-based model explanations", as ``FaithfulnessCorrelation`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[str] = f"{REFUSED}; or the sums or drops are constant"

    checked_with: ClassVar[dict[str, int]] = {"nr_runs": 10}

    nr_runs: Annotated[int, Field(ge=2)] = 100
    subset_size: Annotated[int, Field(ge=1)] = 224
    perturb_baseline: Baseline = "black"
    abs: bool = False
    space: Space = "prob"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range  # of logits, too

    def check(self, size: tuple[int, int]) -> None:
        if self.subset_size >= math.prod(size):
            raise UserError(
                f"subset_size: {self.subset_size} features, images of {size[0]} x {size[1]} have "
                f"{math.prod(size)} pixels; it must be smaller"
            )

    def metric(self, shape: Shape) -> quantus.FaithfulnessCorrelation:
        names = ("nr_runs", "subset_size", "perturb_baseline", "abs")
        return quantus.FaithfulnessCorrelation(**QUIET, **{k: getattr(self, k) for k in names})

    def passes(self, shape: Shape) -> int:
        return 1 + self.nr_runs
