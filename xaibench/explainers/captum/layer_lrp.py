"""Relevance of a layer by layer-wise relevance propagation, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerLRP as Peer
from pydantic import PositiveFloat
from torch import Tensor

from xaibench.engine import Batch
from xaibench.explainers.captum.base import (
    LayerAttribution,
    check_layer,
    check_lrp,
    layer_name,
    normalised_inputs,
    propagating,
    sign_of_logit,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class LayerLrp(LayerAttribution):
    """Relevance of a layer's output, the logit passed down to it by the epsilon rule, signed.

    As ``captum.lrp``, stopped at ``layer``. The sum over channels (``channels``) and the upsampling
    are ours.
    Cost: two forward passes and one backward. Source: Bach et al. 2015, "On pixel-wise
    explanations for non-linear classifier decisions by layer-wise relevance propagation",
    equation 58.
    """

    epsilon: PositiveFloat = 1e-3
    needs = ("gradients", "feature maps")

    def check(self, model: Classifier) -> None:
        check_layer(self, model, self.layer)
        check_lrp(self, model)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * len(batch), len(batch))

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        with propagating(model, self.epsilon, layer_name(self, model, self.layer)) as score:
            relevance = Peer(score, score.mark).attribute(*normalised_inputs(model, batch))
        return relevance * sign_of_logit(model, batch)
