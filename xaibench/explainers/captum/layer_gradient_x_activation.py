"""The gradient at a layer times its activations, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerGradientXActivation as Peer
from torch import Tensor

from xaibench.engine import Batch
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
class LayerGradientXActivation(LayerAttribution):
    """Gradient of the score at a layer times its activations, a_k df / da_k, signed.

    Without a mean over the map, unlike Grad-CAM; ``channels="sum"`` is HiResCAM's map. captum gives
    each channel of the small map; the sum over them and the upsampling are ours.
    Cost: one forward and one backward pass. Source: Ancona et al. 2018, "Towards better
    understanding of gradient-based attribution methods", section 2; Draelos and Carin 2020,
    "Use HiResCAM instead of Grad-CAM", equation 5.
    """

    space: Space = "logit"
    needs = ("gradients", "feature maps")

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        peer = Peer(score_function(model, self.space), self.module(model))
        return peer.attribute(inputs(batch), additional_forward_args=(batch.targets,))
