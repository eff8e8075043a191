"""Attribution localisation: how much denser is the positive relevance on the evidence?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Evidence, Maps, PerImage, Seeds
from xaibench.metrics.base import LocalisationMetric
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class AttributionLocalisation(LocalisationMetric):
    """Positive relevance's share on the mask over the mask's share of the image; higher is better.

    mu_w = (R_in / R_tot) (S_tot / S_in): R sums of positive relevance, S numbers of pixels, on the
    mask and in the whole image. In [0, S_tot / S_in]; 1 for a map that says nothing, however large
    the mask is, so that images of small and of large evidence can be averaged. The unweighted
    mu = R_in / R_tot is ``mass_accuracy``. Undefined where the mask is empty, or where no
    relevance is positive.
    Cost: 0 passes. Source: Kohlbrenner et al. 2020, "Towards best practice in explaining neural
    network decisions with LRP", the weighted inside-total relevance ratio. Quantus 0.6 multiplies
    by the share of the mask, where the paper divides, and takes the size of one image for 0.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    undefined: ClassVar[str] = f"{LocalisationMetric.undefined}, or no relevance is positive"
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive", "weighted": "mask_share"}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        positive, inside = maps.double().clamp_min(0).flatten(1), mask.flatten(1)
        mass = (positive * inside).sum(1) / positive.sum(1)
        return mass / inside.double().mean(1)
