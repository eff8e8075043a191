"""Region perturbation of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from xaibench.metrics.quantus.base import PatchMetric, Shape
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RegionPerturbation(PatchMetric):
    """Quantus: area under the drops of the score as patches fall; higher is better for ``morf``.

    Patches by their sum of relevance, the most relevant first (``morf``) or the least
    (``lerf``, by which lower is better), go to the baseline one more at a time, at most
    ``regions_evaluation``; the area under p(x) - p(perturbed) is the trapezoid with unit steps,
    without the unperturbed image. It grows with the number of patches: compare values of one
    image size only.
    Undefined where Quantus refuses the map.
    Cost: 1 pass, and one a patch. Source: Samek et al. 2017, "Evaluating the visualization of
    what a deep neural network has learned", as ``RegionPerturbation`` of Quantus.
    """

    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    regions_evaluation: Annotated[int, Field(ge=1)] = 100
    order: Literal["morf", "lerf"] = "morf"

    @property
    def higher_is_better(self) -> bool:
        """Drops come early where relevant patches go first."""
        return self.order == "morf"

    def metric(self, shape: Shape) -> quantus.RegionPerturbation:
        own = {"regions_evaluation": self.regions_evaluation, "order": self.order}
        return quantus.RegionPerturbation(**self.asked(), **own)

    def passes(self, shape: Shape) -> int:
        return 1 + min(self.patches(shape), self.regions_evaluation)
