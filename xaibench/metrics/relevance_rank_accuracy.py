"""Relevance rank accuracy: how many of the most relevant pixels lie on the evidence?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xaibench.engine import Batch, Evidence, Maps, PerImage, Seeds
from xaibench.metrics.base import LocalisationMetric
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import descending_order
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RelevanceRankAccuracy(LocalisationMetric):
    """Share of the top K pixels that lie on the mask of K pixels; higher is better.

    |top K pixels of the map and mask| / K, in [0, 1]; 1 where the mask holds the highest relevance.
    A map that says nothing scores the mask's share of the image on average: ties go in the
    image's own random order. Signed: negative relevance comes last. Undefined where the mask is
    empty. ``iou_top`` with the mask's own size orders maps alike: it is r / (2 - r).
    Cost: 0 passes. Source: Arras et al. 2022, "CLEVR-XAI", equation 3. Quantus takes ties in the
    order in which its sorting leaves them.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded"}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        order = descending_order(maps.flatten(1), seeds)
        area = mask.flatten(1).sum(1, keepdim=True)
        top = torch.arange(order.shape[1], device=maps.device) < area
        hits = (mask.flatten(1).gather(1, order) & top).sum(1)
        return hits.double() / area[:, 0]
