"""Infidelity of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.errors import UserError
from xaibench.metrics.quantus.base import Baseline, QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Infidelity(QuantusMetric):
    """Quantus: squared error of relevance times change against the drop; lower is better.

    Patches go to the baseline one more at a time, in reading order; the mean of (relevance .
    change of the image - drop of the score)^2 over them. In [0, inf), in the unit of the map.
    Known faults of Quantus 0.6: what is replaced stays replaced, so the perturbations are not
    independent draws as in the paper, and with a fixed baseline its ``n_perturb_samples``
    repeat the same numbers (Quantus: 10, here 1); images whose sides ``patch_size`` does not
    divide raise. ``patch_size`` None is the largest number up to 4 (that of Quantus) that
    divides both sides.
    Undefined where Quantus refuses the map.
    Cost: 1 pass, and ``n_perturb_samples`` a patch. Source: Yeh et al. 2019, "On the
    (in)fidelity and sensitivity of explanations", as ``Infidelity`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    patch_size: Annotated[int, Field(ge=1)] | None = None
    n_perturb_samples: Annotated[int, Field(ge=1)] = 1
    perturb_baseline: Baseline = "black"
    abs: bool = False
    space: Space = "prob"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range  # of logits, too

    def check(self, size: tuple[int, int]) -> None:
        if any(side % self._side(size) for side in size):
            raise UserError(
                f"patch_size: {self.patch_size} does not divide both sides of images of "
                f"{size[0]} x {size[1]}; leave it out for a number that does"
            )

    def metric(self, shape: Shape) -> quantus.Infidelity:
        return quantus.Infidelity(
            **QUIET,
            perturb_patch_sizes=[self._side(shape[1:])],
            n_perturb_samples=self.n_perturb_samples,
            perturb_baseline=self.perturb_baseline,
            abs=self.abs,
        )

    def passes(self, shape: Shape) -> int:
        patches = shape[1] * shape[2] // self._side(shape[1:]) ** 2
        return 1 + self.n_perturb_samples * patches

    def _side(self, size: tuple[int, int]) -> int:
        fitting = (side for side in (4, 3, 2, 1) if not any(each % side for each in size))
        return self.patch_size or next(fitting)
