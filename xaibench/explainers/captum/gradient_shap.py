"""GradientSHAP, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import GradientShap as Peer
from pydantic import NonNegativeFloat, PositiveInt

from xaibench.engine import Batch
from xaibench.engine.seeding import seeded
from xaibench.explainers.captum.base import (
    Attributions,
    Background,
    PixelAttribution,
    background,
    inputs,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class GradientShap(PixelAttribution):
    """Mean gradient at random points between baselines and image, times their difference, signed.

    ``samples`` points an image, all in one pass, each on the way from a random one of ``baselines``
    images (of ``background``: random ``colours`` or ``noise``, from the image's seed) to the image
    with noise of deviation ``stdev``. captum: 5 samples, deviation 0, the caller's baselines.
    Cost: ``samples`` forward and backward passes. Source: Lundberg and Lee 2017, "A unified
    approach to interpreting model predictions"; Erion et al. 2021, equation 2.
    """

    samples: PositiveInt = 20
    baselines: PositiveInt = 20
    background: Background = "colours"
    stdev: NonNegativeFloat = 0.0
    space: Space = "logit"
    needs = ("gradients",)

    def copies(self, model: Classifier, batch: Batch) -> int:
        return model.batch_size  # captum draws for all images of a call at once

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.samples * len(batch), self.samples * len(batch))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with seeded(int(batch.seeds), model.device):
            return Peer(score_function(model, self.space)).attribute(
                inputs(batch),
                baselines=background(batch, self.baselines, self.background)[0],
                n_samples=self.samples,
                stdevs=self.stdev,
                additional_forward_args=(batch.targets,),
            )
