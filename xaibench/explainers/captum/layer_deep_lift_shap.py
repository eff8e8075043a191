"""DeepLIFT averaged over baselines at a layer, through captum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from captum.attr import LayerDeepLiftShap as Peer
from pydantic import Field
from torch import Tensor

from xaibench.engine import Batch
from xaibench.engine.hookable import hookable
from xaibench.explainers.captum.base import (
    Background,
    LayerAttribution,
    RowWise,
    background,
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
class LayerDeepLiftShap(LayerAttribution):
    """Mean of DeepLIFT's contributions of a layer's output over several baselines, signed.

    Parameters as in ``captum.deep_lift_shap``; the sum over channels (``channels``) and the
    upsampling are ours.
    Cost: two forward and two backward passes a baseline. Source: Lundberg and Lee 2017, "A
    unified approach to interpreting model predictions", section 4.2.
    """

    baselines: Annotated[int, Field(ge=2)] = 10
    background: Background = "colours"
    needs = ("gradients", "feature maps")

    def check(self, model: Classifier) -> None:
        check_layer(self, model, self.layer)
        check_deep_lift(self, model)

    def copies(self, model: Classifier, batch: Batch) -> int:
        return model.batch_size  # captum knows one set of baselines for all images of a call

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = 2 * self.baselines * len(batch)
        return PassCount(passes, passes)

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        with hookable(model, layer_name(self, model, self.layer)) as score:
            return _Peer(score, score.mark).attribute(
                inputs(batch),
                baselines=background(batch, self.baselines, self.background)[0],
                additional_forward_args=(batch.targets,),
            )
