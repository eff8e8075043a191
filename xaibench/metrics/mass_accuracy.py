"""Relevance mass accuracy: which share of the positive relevance lies on the evidence?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from xaibench.metrics.base import NO_EVIDENCE, MapMetric, Scores, nan_without_evidence
from xaibench.models.base import Classifier
from xaibench.registry import register
from xaibench.types import Batch


@register("metric")
@dataclass(frozen=True)
class MassAccuracy(MapMetric):
    """Positive relevance on the mask over all positive relevance; higher is better.

    A map that says nothing scores the mask's share of the image. Negative relevance speaks
    against the target and is left out. Undefined where the mask is empty, or where no relevance is
    positive. No passes. Source: Arras et al. 2022, "CLEVR-XAI", equation 2.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    def score(
        self, model: Classifier, batch: Batch, maps: Float[Tensor, "batch height width"]
    ) -> Scores:
        positive = maps.double().clamp_min(0).flatten(1)
        values = {}
        for name, mask in batch.masks.items():
            share = (positive * mask.flatten(1)).sum(1) / positive.sum(1)
            values[f"mass_accuracy@{name}"] = nan_without_evidence(share, mask)
        reason = f"{NO_EVIDENCE}, or no relevance is positive"
        return Scores(values, undefined=dict.fromkeys(values, reason))
