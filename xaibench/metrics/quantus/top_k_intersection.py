"""Top-k intersection of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.errors import UserError
from xaibench.metrics.quantus.base import MaskMetric
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class TopKIntersection(MaskMetric):
    """Quantus: share of the k most relevant pixels that lie on the mask; higher is better.

    In [0, 1]. ``k`` None is a fiftieth of the pixels, rounded half up, at least 1 (Quantus:
    1000, which is that of 224 x 224). Ties go in the order in which its sorting leaves them.
    Undefined where the mask is empty or Quantus refuses the map.
    Cost: 0 passes. Source: Theiner, Müller-Budack and Ewerth 2021, "Interpretable semantic
    photo geolocalization", as ``TopKIntersection`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    k: Annotated[int, Field(ge=1)] | None = None
    abs: bool = False

    def check(self, size: tuple[int, int]) -> None:
        if self.k and self.k >= math.prod(size):
            raise UserError(
                f"k: {self.k} pixels, images of {size[0]} x {size[1]} have {math.prod(size)}; it "
                "must be smaller"
            )

    def metric(self, size: tuple[int, int]) -> quantus.TopKIntersection:
        return quantus.TopKIntersection(
            **QUIET, k=self.k or max(1, int(math.prod(size) / 50 + 0.5)), abs=self.abs
        )
