"""Top-k intersection: do a few pixels of the highest relevance lie on the evidence?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.engine import Batch, Evidence, Maps, PerImage, Seeds
from xaibench.metrics.base import LocalisationMetric
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import descending_order
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class TopKIntersection(LocalisationMetric):
    """Share of the k most relevant pixels that lie on the mask; higher is better.

    |top k pixels and mask| / k, in [0, 1]; k is the fraction ``top`` of the image, rounded half up,
    at least 1. A mask of fewer than k pixels cannot give 1. A map that says nothing scores the
    mask's share of the image on average: ties go in the image's own random order. Signed:
    negative relevance comes last. Undefined where the mask is empty. ``top`` is 0.02, since k is
    1000 pixels of 224 x 224 in the paper and in Quantus.
    Cost: 0 passes. Source: Theiner, Müller-Budack and Ewerth 2021, "Interpretable semantic photo
    geolocalization", without its division by the concept's size. Quantus takes ties in the
    order in which its sorting leaves them.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded"}

    top: Annotated[float, Field(gt=0, le=1)] = 0.02

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        k = max(1, int(self.top * maps[0].numel() + 0.5))
        first = descending_order(maps.flatten(1), seeds)[:, :k]
        return mask.flatten(1).gather(1, first).double().mean(1)
