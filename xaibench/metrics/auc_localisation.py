"""AUC of localisation: does a pixel of the evidence rank above one beside it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Evidence, Maps, PerImage, Seeds
from xaibench.engine.likeness import centred_ranks
from xaibench.metrics.base import LocalisationMetric
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class AucLocalisation(LocalisationMetric):
    """Area under the ROC curve of the map against the mask, pixel by pixel; higher is better.

    The share of the pairs of a pixel on the mask and one beside it in which the former has the
    higher relevance, a tie counting half: exact for any ties. In [0, 1]; a map that says nothing
    scores 0.5, however large the mask is. Signed. Undefined where the mask is empty, or is the
    whole image.
    Cost: 0 passes. Source: Fawcett 2006, "An introduction to ROC analysis", section 7, with the
    pixels as instances and the mask as their class.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[str] = f"{LocalisationMetric.undefined}, or it covers the whole image"
    conventions: ClassVar[dict[str, str]] = {"ties": "half"}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        inside = mask.flatten(1)
        positives = inside.double().sum(1)
        pairs = positives * (inside.shape[1] - positives)
        # The rank sum of Mann and Whitney, of ranks whose mean is 0.
        above = (centred_ranks(maps.flatten(1)) * inside).sum(1)
        return above / pairs + 0.5
