"""Infidelity: by how much does a map miss what random perturbations do to the score?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from xaibench.engine import Batch, Fill, Maps, NoiseRemoved, SquaresRemoved, unmasked_score
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Infidelity(MapMetric):
    """Squared error of the drops that a map foretells for random perturbations; lower is better.

    The mean over ``samples`` perturbations I of (beta I.R - (score(x) - score(x - I)))^2.

    - ``perturbation: square`` replaces a random square by the fill. R is read as contributions:
      I.R is its sum over the square. Sides are uniform from 1 pixel to ``largest`` of the shorter
      side.
    - ``perturbation: noise`` takes normal noise of standard deviation ``sigma`` (images are in
      [0, 1]) from the image, one number a pixel for all its channels. R is read as a slope: I.R is
      the sum of noise times relevance.

    ``scale: optimal`` takes the beta that makes the error least, sum(a b) / sum(a^2) of a = I.R and
    the drop b, 0 where all a are 0: maps have no common unit, and most have none at all.
    ``scale: none`` takes beta = 1, for a map in the score's unit. Then values have no upper end;
    else they are in [0, 1] for probabilities. An image's perturbations are the same for every map.

    captum.metrics.infidelity is the same with ``normalize`` for the optimal scale and false by
    default, 10 perturbations that its caller makes, and logits if the model gives them. Quantus
    goes through the blocks of a grid without drawing, and subtracts what is between images.
    Cost: no pass of a map's own; ``samples`` passes an image that all explainers share. Source: Yeh
    et al. 2019, "On the (in)fidelity and sensitivity of explanations", definition 2.1; the scale:
    its section 2.1.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    perturbation: Literal["square", "noise"] = "square"
    samples: PositiveInt = 100
    largest: Annotated[float, Field(gt=0, le=1)] = 0.35
    sigma: Annotated[float, Field(gt=0)] = 0.1
    scale: Literal["optimal", "none"] = "optimal"
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    @property
    def bounds(self) -> tuple[float, float]:
        bounded = self.space == "prob" and self.scale == "optimal"
        return self.range if bounded else (0.0, math.inf)

    def definition(self) -> dict[str, object]:
        unused = ("sigma",) if self.perturbation == "square" else ("largest", "fill")
        return super().definition() | dict.fromkeys(unused)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        if self.perturbation == "square":
            perturbations = SquaresRemoved(self.samples, self.largest, self.fill)
        else:
            perturbations = NoiseRemoved(self.samples, self.sigma)
        foretold = perturbations.explained(batch, maps)
        left = perturbations.scores(model, batch, self.space).double()
        drops = unmasked_score(model, batch, self.space).double()[:, None] - left
        if self.scale == "optimal":
            power = foretold.square().sum(1, keepdim=True)
            beta = (foretold * drops).sum(1, keepdim=True) / power.where(power > 0, 1.0)
            foretold = beta * foretold
        return Scores({self.name: (foretold - drops).square().mean(1)})
