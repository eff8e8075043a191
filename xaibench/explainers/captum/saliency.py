"""The gradient of the score, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import Saliency as Peer

from xaibench.engine import Batch, Pixels, block_image_gradients
from xaibench.explainers.captum.base import (
    Attributions,
    Channels,
    PixelAttribution,
    inputs,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class Saliency(PixelAttribution):
    """Largest absolute gradient of the score over a pixel's channels: max_c |df / dx_c|.

    ``channels``: ``max_abs`` as in the paper, or ``mean_abs`` (both not negative), or ``sum``,
    signed. captum takes absolute values by default and leaves the channels apart.
    Cost: one forward and one backward pass, made once for all that ask for this gradient. Source:
    Simonyan et al. 2014, "Deep inside convolutional networks", section 3.1.
    """

    channels: Channels = "max_abs"
    space: Space = "logit"
    needs = ("gradients",)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def linear(self, weights: Pixels, batch: Batch) -> Pixels:
        return weights

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        peer = Peer(score_function(model, self.space))
        peer.gradient_func = lambda *_: (block_image_gradients(model, batch, self.space),)
        return peer.attribute(inputs(batch), abs=False, additional_forward_args=(batch.targets,))
