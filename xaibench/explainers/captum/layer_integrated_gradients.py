"""Integrated Gradients at a layer, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerIntegratedGradients as Peer
from pydantic import PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Fill, fill_images
from xaibench.explainers.captum.base import (
    LayerAttribution,
    inputs,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class LayerIntegratedGradients(LayerAttribution):
    """Integrated Gradients at a layer, from the baseline's activations to the image's, signed.

    The straight path runs between activations, not between images. ``steps`` and the black
    ``baseline`` are captum's; the sum over channels and the upsampling are ours.
    Cost: ``steps`` passes forward and backward, and two forward. Source: Sundararajan et al. 2017,
    "Axiomatic attribution for deep networks", equation 1.
    """

    steps: PositiveInt = 50
    baseline: Fill = "black"
    space: Space = "logit"
    needs = ("gradients", "feature maps")

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount((self.steps + 2) * len(batch), self.steps * len(batch))

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        return Peer(score_function(model, self.space), self.module(model)).attribute(
            inputs(batch),
            baselines=fill_images(batch, self.baseline),
            additional_forward_args=(batch.targets,),
            n_steps=self.steps,
            internal_batch_size=model.batch_size,
        )
