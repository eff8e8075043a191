"""DeepLIFT, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import DeepLift as Peer

from xaibench.engine import Batch, Fill, Pixels, fill_images
from xaibench.engine.hookable import hookable
from xaibench.explainers.captum.base import (
    Attributions,
    PixelAttribution,
    RowWise,
    check_deep_lift,
    inputs,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


class _DeepLift(RowWise, Peer):
    pass


@register("explainer")
@dataclass(frozen=True)
class DeepLift(PixelAttribution):
    """DeepLIFT's contributions to the logit's difference from the baseline's, signed.

    The rescale rule: at each activation the ratio of differences stands for the gradient. They sum
    to f(x) - f(baseline) where captum's rules are exact; on ResNets, whose max pooling overlaps,
    they were seen not to. captum's default baseline, too, is black; ``channels``
    (``sum``, ``mean_abs``, ``max_abs``) is ours. Activations in place, used twice or functional are
    made modules of their own first; a model with others than captum has rules for is refused.
    Cost: two forward and two backward passes. Source: Shrikumar et al. 2017, "Learning important
    features through propagating activation differences", section 3.5.1.
    """

    baseline: Fill = "black"
    needs = ("gradients",)

    def check(self, model: Classifier) -> None:
        check_deep_lift(self, model)

    def copies(self, model: Classifier, batch: Batch) -> int:
        return 2

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * len(batch), 2 * len(batch))

    def linear(self, weights: Pixels, batch: Batch) -> Pixels:
        return weights * (batch.images - fill_images(batch, self.baseline))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with hookable(model) as score:
            return _DeepLift(score).attribute(
                inputs(batch),
                baselines=fill_images(batch, self.baseline),
                additional_forward_args=(batch.targets,),
            )
