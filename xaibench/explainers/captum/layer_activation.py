"""The activations of a layer, through captum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from captum.attr import LayerActivation as Peer
from torch import Tensor

from xaibench.engine import Batch
from xaibench.explainers.captum.base import (
    LayerAttribution,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class LayerActivation(LayerAttribution):
    """Activations of a layer, whatever the target: sum_k a_k.

    It tells every class the same: a control for maps that weigh activations. The sum over channels
    (``channels``) and the upsampling are ours.
    Cost: one forward pass. Source: captum's documentation.
    """

    needs = ("feature maps",)
    expected: ClassVar[Mapping[str, str]] = {
        "explains each class differently": "activations know no class"
    }

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), 0)

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        peer = Peer(score_function(model, "logit"), self.module(model))
        return peer.attribute(batch.images, additional_forward_args=(batch.targets,))
