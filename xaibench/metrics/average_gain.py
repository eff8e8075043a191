"""Average gain: how much of the missing confidence is won where only what is relevant is shown?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xaibench.engine import Batch, Fill, Maps, unmasked_score
from xaibench.engine.shown import positive_part, shown_score
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class AverageGain(MapMetric):
    """Share of the missing confidence won by showing the image through its map; higher is better.

    max(0, p(x m) - p(x)) / (1 - p(x)), with p the probability of the target and x m the image
    times its map m, the positive relevance over its largest value; what m leaves out is ``fill``.
    In [0, 1]; the mirror of ``average_drop``, which says what differs from other libraries.
    Undefined where no relevance is positive, or where the score of the image is 1 or more (a
    certain model, a regressor).
    Cost: 1 pass an image and map. Source: Zhang et al. 2024, "Opti-CAM: Optimizing saliency maps
    for interpretability", average gain.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    fill: Fill = "dataset_mean"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(forward=len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        weights = positive_part(maps)
        before = unmasked_score(model, batch, "prob").double()
        after = shown_score(model, batch, weights, self.fill).double()
        gains = ((after - before) / (1 - before)).clamp_min(0)
        values = gains.where((before < 1) & weights.isfinite().flatten(1).all(1), torch.nan)
        why = "no relevance is positive, or the score of the image is 1 or more"
        return Scores({self.name: values}, undefined={self.name: why})
