"""Ablation of superpixels, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import FeatureAblation as Peer

from xaibench.engine import Batch, Maps, Pixels, fill_images
from xaibench.explainers.captum.base import (
    Attributions,
    RegionAttribution,
    score_function,
    segment_sums,
    segments_of,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class FeatureAblation(RegionAttribution):
    """Drop of the score when each superpixel alone is hidden, signed.

    The features are the run's superpixels; captum's default is each number of the image by itself,
    hidden by black. Cost: one pass a segment, and one. Source: captum's documentation; Zeiler and
    Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
    """

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(int((segments_of(batch) + 1).sum()), 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        return segment_sums(weights * (batch.images - fill_images(batch, self.baseline)), batch)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        return Peer(score_function(model, self.space)).attribute(
            batch.images,
            baselines=fill_images(batch, self.baseline),
            feature_mask=batch.segments[:, None],
            additional_forward_args=(batch.targets,),
            perturbations_per_eval=model.batch_size,
        )
