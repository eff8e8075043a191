"""Layer-wise relevance propagation, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LRP
from pydantic import PositiveFloat

from xaibench.engine import Batch
from xaibench.explainers.captum.base import (
    Attributions,
    PixelAttribution,
    check_lrp,
    normalised_inputs,
    propagating,
    sign_of_logit,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Lrp(PixelAttribution):
    """Relevance of the normalised image, the logit passed down by the epsilon rule, signed.

    R_i = x_i sum_j w_ij R_j / (z_j + epsilon sign z_j) at every layer. ``epsilon`` is 1e-9 in
    captum, where relevances of opposite signs grow without bound; ``channels`` (``sum``,
    ``mean_abs``, ``max_abs``) is ours. Sums of two maps are made modules first, as captum asks; a
    network with a module that captum has no rule for (LayerNorm, GELU) is refused.
    Cost: two forward passes and one backward. Source: Bach et al. 2015, "On pixel-wise
    explanations for non-linear classifier decisions by layer-wise relevance propagation",
    equation 58.
    """

    epsilon: PositiveFloat = 1e-3
    needs = ("gradients",)

    def check(self, model: Classifier) -> None:
        check_lrp(self, model)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * len(batch), len(batch))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with propagating(model, self.epsilon) as score:
            relevance = LRP(score).attribute(*normalised_inputs(model, batch))
        return relevance * sign_of_logit(model, batch)
