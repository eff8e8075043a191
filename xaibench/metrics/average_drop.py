"""Average drop: how much confidence is lost where only what is relevant is shown?"""

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
class AverageDrop(MapMetric):
    """Share of the confidence lost where the image is shown through its map; lower is better.

    max(0, p(x) - p(x m)) / p(x), with p the probability of the target and x m the image times its
    map m, the positive relevance over its largest value; what m leaves out is ``fill``, in [0, 1].
    The papers' mean over images in per cent is 100 times the mean of these values. It is 0 for a
    map that shows everything: read it with ``complexity`` or ``average_gain``.
    The paper multiplies the image, as ``black`` does; torchcam and pytorch-grad-cam multiply the
    normalised one, by which what is left out is the mean of its normalisation: so ``fill`` is
    ``dataset_mean``. torchcam scales maps from their least value to their largest instead.
    Undefined where no relevance is positive, or the score of the image is not (a regressor's).
    Cost: 1 pass an image and map. Source: Chattopadhay et al. 2018, "Grad-CAM++", section 4.1.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    fill: Fill = "dataset_mean"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(forward=len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        weights = positive_part(maps)
        before = unmasked_score(model, batch, "prob").double()
        after = shown_score(model, batch, weights, self.fill).double()
        drops = ((before - after) / before).clamp_min(0)
        values = drops.where((before > 0) & weights.isfinite().flatten(1).all(1), torch.nan)
        why = "no relevance is positive, or the score of the image is not"
        return Scores({self.name: values}, undefined={self.name: why})
