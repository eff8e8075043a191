"""The gradient times the image, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import InputXGradient as Peer

from xaibench.engine import Batch, Pixels, block_image_gradients
from xaibench.explainers.captum.base import (
    Attributions,
    PixelAttribution,
    inputs,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class InputXGradient(PixelAttribution):
    """Gradient of the score times the image in [0, 1]: x df / dx, signed.

    ``channels``: ``sum`` (signed), ``mean_abs`` or ``max_abs``; captum leaves them apart.
    Cost: one forward and one backward pass, made once for all that ask for this gradient. Source:
    Shrikumar et al. 2016, "Not just a black box", section 3.
    """

    space: Space = "logit"
    needs = ("gradients",)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def linear(self, weights: Pixels, batch: Batch) -> Pixels:
        return weights * batch.images

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        peer = Peer(score_function(model, self.space))
        peer.gradient_func = lambda *_: (block_image_gradients(model, batch, self.space),)
        return peer.attribute(inputs(batch), additional_forward_args=(batch.targets,))
