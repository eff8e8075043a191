"""Relevance mass accuracy: which share of the positive relevance lies on the evidence?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Evidence, Maps, PerImage, Seeds
from xaibench.metrics.base import LocalisationMetric
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class MassAccuracy(LocalisationMetric):
    """Positive relevance on the mask over all positive relevance; higher is better.

    A map that says nothing scores the mask's share of the image. Negative relevance speaks
    against the target and is left out. Undefined where the mask is empty, or where no relevance is
    positive. No passes. Source: Arras et al. 2022, "CLEVR-XAI", equation 2.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[str] = f"{LocalisationMetric.undefined}, or no relevance is positive"
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        positive = maps.double().clamp_min(0).flatten(1)
        return (positive * mask.flatten(1)).sum(1) / positive.sum(1)
