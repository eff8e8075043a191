"""DeepLIFT at a layer, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerDeepLift as Peer
from torch import Tensor

from xaibench.engine import Batch, Fill, fill_images
from xaibench.engine.hookable import hookable
from xaibench.explainers.captum.base import (
    LayerAttribution,
    RowWise,
    check_deep_lift,
    check_layer,
    inputs,
    layer_name,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


class _Peer(RowWise, Peer):
    pass


@register("explainer")
@dataclass(frozen=True)
class LayerDeepLift(LayerAttribution):
    """DeepLIFT's contributions of a layer's output to the logit's difference, signed.

    As ``captum.deep_lift``, stopped at ``layer``. The sum over channels (``channels``) and the
    upsampling are ours.
    Cost: two forward and two backward passes. Source: Shrikumar et al. 2017, "Learning important
    features through propagating activation differences", section 3.5.1.
    """

    baseline: Fill = "black"
    needs = ("gradients", "feature maps")

    def check(self, model: Classifier) -> None:
        check_layer(self, model, self.layer)
        check_deep_lift(self, model)

    def copies(self, model: Classifier, batch: Batch) -> int:
        return 2

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * len(batch), 2 * len(batch))

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        with hookable(model, layer_name(self, model, self.layer)) as score:
            return _Peer(score, score.mark).attribute(
                inputs(batch),
                baselines=fill_images(batch, self.baseline),
                additional_forward_args=(batch.targets,),
            )
