"""KernelSHAP of superpixels, through captum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from captum.attr import FeatureAblation
from captum.attr import KernelShap as Peer
from pydantic import Field

from xaibench.engine import Batch, fill_images
from xaibench.engine.seeding import seeded
from xaibench.explainers.captum.base import (
    Attributions,
    RegionAttribution,
    score_function,
    segments_of,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class KernelShap(RegionAttribution):
    """Shapley values of superpixels by a linear regression on sampled coalitions, signed.

    Sizes of coalitions are drawn by the Shapley kernel; the empty and the full one weigh 10^6, so
    that the values sum to score(x) - score(baseline). An image of one superpixel has that
    difference itself. captum: 25 samples, black, each number of the image a feature.
    Cost: ``samples`` passes. Source: Lundberg and Lee 2017, "A unified approach to interpreting
    model predictions", theorem 2.
    """

    samples: Annotated[int, Field(ge=2)] = 100

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = [2 if number == 1 else self.samples for number in segments_of(batch).tolist()]
        return PassCount(sum(passes), 0)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        features = {
            "baselines": fill_images(batch, self.baseline),
            "feature_mask": batch.segments[:, None],
            "additional_forward_args": (batch.targets,),
            "perturbations_per_eval": model.batch_size,
        }
        score = score_function(model, self.space)
        if int(segments_of(batch)) == 1:  # captum has no distribution of sizes between 0 and 1
            return FeatureAblation(score).attribute(batch.images, **features)
        with seeded(int(batch.seeds), model.device):
            return Peer(score).attribute(batch.images, n_samples=self.samples, **features)
