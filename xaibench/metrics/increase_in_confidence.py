"""Increase in confidence: is the model surer where only what is relevant is shown?"""

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
class IncreaseInConfidence(MapMetric):
    """1 where the image shown through its map scores above the image, else 0; higher is better.

    1[p(x) < p(x m)], with p the probability of the target and x m the image times its map m, the
    positive relevance over its largest value; what m leaves out is ``fill``. The mean over images
    is the paper's rate of increase. Differences between its images and torchcam's: see
    ``average_drop``. Undefined where no relevance is positive.
    Cost: 1 pass an image and map. Source: Chattopadhay et al. 2018, "Grad-CAM++", section 4.1.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    # On small networks a white background tells two maps apart, which yes and no seldom do.
    checked_with: ClassVar[dict[str, float]] = {"fill": 1.0}

    fill: Fill = "dataset_mean"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(forward=len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        weights = positive_part(maps)
        after = shown_score(model, batch, weights, self.fill)
        rises = (after > unmasked_score(model, batch, "prob")).double()
        values = rises.where(weights.isfinite().flatten(1).all(1), torch.nan)
        return Scores({self.name: values}, undefined={self.name: "no relevance is positive"})
