"""Guided backpropagation, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import GuidedBackprop as Peer

from xaibench.engine import Batch
from xaibench.engine.hookable import hookable
from xaibench.explainers.captum.base import Attributions, PixelAttribution, check_relu, inputs
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class GuidedBackprop(PixelAttribution):
    """Gradient of the logit that passes a ReLU only where both it and the activation are positive.

    Signed; ``channels`` (``sum``, ``mean_abs``, ``max_abs``) is ours. It depends little on upper
    layers (Adebayo et al. 2018). A functional ReLU is made a module first; other activations have
    their plain gradient, and a network without ReLU is refused.
    Cost: one forward and one backward pass. Source: Springenberg et al. 2015, "Striving for
    simplicity: the all convolutional net", section 3.4.
    """

    needs = ("gradients",)

    def check(self, model: Classifier) -> None:
        check_relu(self, model)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with hookable(model) as score:
            return Peer(score).attribute(inputs(batch), additional_forward_args=(batch.targets,))
