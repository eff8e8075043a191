"""Shapley values of superpixels by sampled orders, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import ShapleyValueSampling as Peer
from pydantic import PositiveInt

from xaibench.engine import Batch, Maps, Pixels, fill_images
from xaibench.engine.seeding import seeded
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
class ShapleyValueSampling(RegionAttribution):
    """Mean gain of the score when a superpixel is added, over random orders of adding, signed.

    ``samples`` orders an image, drawn from its seed; the values sum to score(x) -
    score(baseline). The features are the run's superpixels; captum's default is each number of
    the image by itself, 25 samples, a black baseline.
    Cost: ``samples`` passes a segment, and one. Source: Castro et al. 2009, "Polynomial
    calculation of the Shapley value based on sampling".
    """

    samples: PositiveInt = 5

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(int((self.samples * segments_of(batch) + 1).sum()), 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        return segment_sums(weights * (batch.images - fill_images(batch, self.baseline)), batch)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with seeded(int(batch.seeds), model.device):
            return Peer(score_function(model, self.space)).attribute(
                batch.images,
                baselines=fill_images(batch, self.baseline),
                feature_mask=batch.segments[:, None],
                additional_forward_args=(batch.targets,),
                n_samples=self.samples,
                perturbations_per_eval=model.batch_size,
            )
