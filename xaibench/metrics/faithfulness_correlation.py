"""Faithfulness correlation: does the relevance of a set of pixels say what its loss does?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.engine import Batch, Fill, Maps, RandomSubsets
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class FaithfulnessCorrelation(MapMetric):
    """Correlation of the relevance of random sets of pixels with the drop without them.

    ``subsets`` random sets S of floor(size x HW + 1/2) pixels, all channels together: Pearson's
    correlation over the sets of the sum of R_i over S with score(x) - score(x with S replaced).
    It is sensitivity-n at one n, of the probability. Higher is better, in [-1, 1]. An image's sets
    are the same for every map. Undefined where the sums or the scores of all sets are the same to
    rounding.

    Quantus draws 100 sets of 224 values, of pixels and channels apart, gives them the least value
    of the image (its ``black``), takes logits, and gives the mean over images; of one channel, with
    the same sets and the same fill, it gives the same as this.
    Cost: no pass of a map's own; ``subsets`` passes an image that all explainers share. Source:
    Bhatt, Weller and Moura 2020, "Evaluating and aggregating feature-based model explanations",
    section 4, equation 3.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    size: Annotated[float, Field(gt=0, lt=1)] = 0.1
    subsets: Annotated[int, Field(ge=3)] = 100
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        pixels = maps[0].numel()
        size = min(max(1, int(self.size * pixels + 0.5)), pixels - 1)
        subsets = RandomSubsets((size,), self.subsets)
        values = subsets.correlations(model, batch, maps, self.fill, self.space)[:, 0]
        undefined = "sums of relevance, or scores, of all sets are the same"
        return Scores({self.name: values}, undefined={self.name: undefined})
