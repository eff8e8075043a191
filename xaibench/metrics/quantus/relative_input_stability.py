"""Relative input stability of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.errors import UserError
from xaibench.metrics.quantus.base import QUIET, Perturb, StabilityMetric, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RelativeInputStability(StabilityMetric):
    """Quantus: largest relative change of the map by the relative change of the image.

    Lower is better; in [0, inf). Over ``nr_samples`` copies (10; Quantus: 200) with uniform
    noise in [``lower_bound``, ``upper_bound``] (0.02 and 0.2), cut to [0, 1]; changes are
    relative pixel by pixel, so that pixels of small relevance count most. A black pixel counts
    as 1e-6 in what the image's change is divided by, by which dark images seem stable: known of
    Quantus 0.6.
    Undefined where the prediction of a copy is another one, or Quantus refuses a map: the
    image's, or one of a copy's.
    Cost: ``nr_samples`` more maps and some passes an image. Source: Agarwal et al. 2022,
    "Rethinking stability for attribution-based explanations", as ``RelativeInputStability`` of
    Quantus.
    """

    undefined: ClassVar[str] = f"{StabilityMetric.undefined}, or a copy's prediction is another one"

    lower_bound: Annotated[float, Field(ge=0)] = 0.02
    upper_bound: Annotated[float, Field(gt=0)] = 0.2
    abs: bool = False

    def validate(self) -> None:
        if self.lower_bound >= self.upper_bound:
            raise UserError(
                f"lower_bound: {self.lower_bound} is not below upper_bound: {self.upper_bound}"
            )

    def noise(self, uniform: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        return self.lower_bound + (self.upper_bound - self.lower_bound) * uniform

    def metric(self, perturb: Perturb) -> quantus.RelativeInputStability:
        own = {"nr_samples": self.nr_samples, "abs": self.abs}
        return quantus.RelativeInputStability(**QUIET, **own, perturb_func=perturb)
