"""Sensitivity-n: does the relevance of random sets of n pixels say what their loss does?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from xaibench.engine import Batch, Fill, Maps, RandomSubsets
from xaibench.errors import UserError
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class SensitivityN(MapMetric):
    """Correlation of the relevance of random sets of n pixels with the drop without them.

    For each size n, a share of the image's pixels, ``subsets`` random sets S of n pixels, all
    channels together: Pearson's correlation over the sets of the sum of R_i over S with
    score(x) - score(x with S replaced). The value is the mean over sizes; the curve
    ``sensitivity_n`` has each. Higher is better, in [-1, 1]; 1 for every n where the score is
    linear and R its contributions. It sees the map's values, not its ranks alone. A set of a larger
    size holds those of the smaller ones; an image's sets are the same for every map. Undefined
    where, for some n, the sums or the scores of all sets are the same to rounding.

    The paper draws 100 sets for each of a dozen n of up to 80 % of the pixels and sets them to
    zero, which is the mean where images are normalised. Quantus computes another thing: it removes
    pixels by falling relevance, and correlates over the images of a batch.
    Cost: no pass of a map's own; subsets x sizes passes an image that all explainers share. Source:
    Ancona et al. 2018, "Towards better understanding of gradient-based attribution methods for deep
    neural networks", equation 3.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    sizes: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.01, 0.03, 0.1, 0.3, 0.8)
    subsets: Annotated[int, Field(ge=3)] = 50
    fill: Fill = "dataset_mean"
    space: Space = "logit"

    def validate(self) -> None:
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            raise UserError(f"sizes {list(self.sizes)} must rise, and be at least one")

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        pixels = maps[0].numel()
        sizes = tuple(min(max(1, int(n * pixels + 0.5)), pixels - 1) for n in self.sizes)
        subsets = RandomSubsets(sizes, self.subsets)
        y = subsets.correlations(model, batch, maps, self.fill, self.space)
        x = torch.tensor(sizes, dtype=torch.float64, device=maps.device) / pixels
        undefined = {self.name: "sums of relevance, or scores, of all sets of a size are the same"}
        curves = {self.name: Curve(x.expand_as(y), y)}
        return Scores({self.name: y.mean(1)}, curves, undefined)
