"""Average sensitivity of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.metrics.quantus.base import QUIET, Perturb, StabilityMetric, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class AvgSensitivity(StabilityMetric):
    """Quantus: mean relative change of the map under noise on the image; lower is better.

    The mean of |map(x + noise) - map(x)| / |map(x)|, Euclidean norms, over ``nr_samples``
    copies (10; Quantus: 200) with uniform noise in [-``lower_bound``, ``lower_bound``] (0.2),
    cut to [0, 1]. In [0, inf).
    Undefined where Quantus refuses a map: the image's, or one of a copy's.
    Cost: ``nr_samples`` more maps an image. Source: Yeh et al. 2019, "On the (in)fidelity and
    sensitivity of explanations", as ``AvgSensitivity`` of Quantus.
    """

    lower_bound: Annotated[float, Field(gt=0)] = 0.2
    abs: bool = False

    def noise(self, uniform: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        return self.lower_bound * (2 * uniform - 1)

    def metric(self, perturb: Perturb) -> quantus.AvgSensitivity:
        own = {"nr_samples": self.nr_samples, "abs": self.abs}
        return quantus.AvgSensitivity(**QUIET, **own, perturb_func=perturb)
