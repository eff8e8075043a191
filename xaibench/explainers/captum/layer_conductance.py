"""Conductance of a layer, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerConductance as Peer
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
class LayerConductance(LayerAttribution):
    """Change of a layer's activations along the path from the baseline, times the gradient, signed.

    sum_s (a(x_s+1) - a(x_s)) df / da(x_s): Integrated Gradients that flow through the layer.
    ``steps`` and the black ``baseline`` are captum's; the sum over channels and the upsampling are
    ours. Cost: ``steps`` + 1 forward and backward passes, and one more a batch that the path of an
    image does not fit in. Source: Dhamdhere et al. 2019, "How important is a neuron?", equation 3;
    Shrikumar et al. 2018, "Computationally efficient measures of internal neuron importance".
    """

    steps: PositiveInt = 50
    baseline: Fill = "black"
    space: Space = "logit"
    needs = ("gradients", "feature maps")

    def copies(self, model: Classifier, batch: Batch) -> int:
        return self.steps + 1

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        # Pieces of a path that is longer than a batch have their ends in common.
        pieces = -(-self.steps // (max(2, model.batch_size) - 1))
        passes = len(batch) * (self.steps + pieces)
        return PassCount(passes, passes)

    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        return Peer(score_function(model, self.space), self.module(model)).attribute(
            inputs(batch),
            baselines=fill_images(batch, self.baseline),
            additional_forward_args=(batch.targets,),
            n_steps=self.steps,
            internal_batch_size=max(model.batch_size, 2),
        )
