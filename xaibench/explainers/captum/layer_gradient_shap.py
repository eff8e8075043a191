"""GradientSHAP at a layer, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerGradientShap as Peer
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from xaibench.engine import Batch
from xaibench.engine.seeding import seeded
from xaibench.explainers.captum.base import (
    Background,
    LayerAttribution,
    background,
    inputs,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class LayerGradientShap(LayerAttribution):
    """Mean gradient at a layer at random points between baselines and image, times the difference.

    Signed. The gradient is at random images between a baseline and the image, the difference that
    of the layer's activations for both. Parameters as in ``captum.gradient_shap``; the sum over
    channels and the upsampling are ours. captum: 5 samples, the caller's baselines.
    Cost: three forward passes and one backward a sample. Source: Lundberg and Lee 2017, "A unified
    approach to interpreting model predictions".
    """

    samples: PositiveInt = 20
    baselines: PositiveInt = 20
    background: Background = "colours"
    stdev: NonNegativeFloat = 0.0
    space: Space = "logit"
    needs = ("gradients", "feature maps")

    def copies(self, model: Classifier, batch: Batch) -> int:
        return model.batch_size  # captum draws for all images of a call at once

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(3 * self.samples * len(batch), self.samples * len(batch))

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        with seeded(int(batch.seeds), model.device):
            return Peer(score_function(model, self.space), self.module(model)).attribute(
                inputs(batch),
                baselines=background(batch, self.baselines, self.background)[0],
                n_samples=self.samples,
                stdevs=self.stdev,
                additional_forward_args=(batch.targets,),
            )
