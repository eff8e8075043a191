"""Border mass: which share of the positive relevance lies along the image's border?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from xaibench.engine import Batch, Maps
from xaibench.imaging.regions import outer_band
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class BorderMass(MapMetric):
    """Positive relevance in the outer band over all positive relevance; neither end is better.

    In [0, 1]. The band is ``band`` of the height above and below and ``band`` of the width left
    and right, each rounded to whole pixels and at least 1. A map that says nothing scores the
    band's share of the image, 1 - (1 - 2 band)^2: 0.36 for a tenth. Evidence in a radiograph
    seldom lies at its border, so a large share hints at a shortcut (letter markers, the frame);
    it is no proof of one. Negative relevance is left out. Undefined where no relevance is
    positive. No passes. Source: the border check of this project's chest X-ray system.
    """

    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    band: Annotated[float, Field(gt=0, lt=0.5)] = 0.1

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        mask = torch.from_numpy(outer_band(*maps.shape[1:], self.band)).to(maps.device)
        positive = maps.double().clamp_min(0)
        values = (positive * mask).sum((1, 2)) / positive.sum((1, 2))
        return Scores({self.name: values}, undefined={self.name: "no relevance is positive"})
