"""Deletion: how fast the score falls when the most relevant pixels go first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.masking import Fill, removal_curve, step_counts, trapezoid
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier
from xaibench.registry import register
from xaibench.types import Batch, Space


@register("metric")
@dataclass(frozen=True)
class Deletion(MapMetric):
    """Area under the score as the most relevant pixels are replaced first; lower is better.

    At step k = 0..S, round(k / S x HW) pixels are gone, all channels together, both ends in; the
    area is the trapezoid over the true fractions. Ties go in the image's own random order, so a
    constant map scores as a random one. In [0, 1] for probabilities.
    Cost: S - 1 passes an image and map. Source: Petsiuk et al. 2018, RISE, section 4.1.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded"}

    steps: Annotated[int, Field(ge=2)] = 100
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def score(
        self, model: Classifier, batch: Batch, maps: Float[Tensor, "batch height width"]
    ) -> Scores:
        counts = step_counts(self.steps, maps[0].numel(), maps.device)
        y = removal_curve(model, batch, maps, counts, fill=self.fill, space=self.space)
        x = (counts / maps[0].numel()).expand_as(y)
        return Scores({"deletion": trapezoid(y, x)}, {"deletion": Curve(x, y)})
