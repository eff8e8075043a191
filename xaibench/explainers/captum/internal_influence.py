"""Internal influence of a layer, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import InternalInfluence as Peer
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
class InternalInfluence(LayerAttribution):
    """Mean gradient of the score at a layer along the path from the baseline image, signed.

    ``steps`` and the black ``baseline`` are captum's; the sum over channels (``channels``) and the
    upsampling are ours. Where global average pooling and a linear layer follow ``layer``, the
    gradient is the same at every place, and so is the map: name an earlier ``layer`` there.
    Cost: ``steps`` forward and backward passes. Source: Leino et al. 2018, "Influence-directed
    explanations for deep convolutional networks", definition 1.
    """

    steps: PositiveInt = 50
    baseline: Fill = "black"
    space: Space = "logit"
    needs = ("gradients", "feature maps")

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.steps * len(batch), self.steps * len(batch))

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        return Peer(score_function(model, self.space), self.module(model)).attribute(
            inputs(batch),
            baselines=fill_images(batch, self.baseline),
            additional_forward_args=(batch.targets,),
            n_steps=self.steps,
            internal_batch_size=model.batch_size,
        )
