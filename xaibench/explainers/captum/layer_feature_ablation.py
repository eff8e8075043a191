"""Ablation of the places of a layer's maps, through captum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from captum.attr import LayerFeatureAblation as Peer

from xaibench.engine import Batch, Maps
from xaibench.explainers.captum.base import (
    Attribution,
    Attributions,
    check_layer,
    layer_name,
    layer_shape,
    score_function,
    upsampled,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class LayerFeatureAblation(Attribution):
    """Drop of the score where a layer's activations at one place are set to 0, signed.

    All channels of a place at once, so that a map has h w values; captum's default is each number
    by itself. Upsampled bilinearly. ``layer`` is by default the model's own ``cam_layer``.
    Cost: one pass a place of the map, and two. Source: captum's documentation; Zeiler and Fergus
    2014, "Visualizing and understanding convolutional networks", section 4.2.
    """

    layer: str | None = None
    space: Space = "prob"
    needs = ("feature maps",)

    def check(self, model: Classifier) -> None:
        check_layer(self, model, self.layer)

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": layer_name(self, model, self.layer)}

    def copies(self, model: Classifier, batch: Batch) -> int:
        return model.batch_size

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        name = layer_name(self, model, self.layer)
        height, width = layer_shape(model, name, batch.images[:1])[2:]
        return PassCount(len(batch) * (height * width + 2), 0)

    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        return upsampled(attributions[:, 0], batch)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        name = layer_name(self, model, self.layer)
        height, width = layer_shape(model, name, batch.images[:1])[2:]
        return Peer(score_function(model, self.space), model.module(name)).attribute(
            batch.images,
            layer_mask=torch.arange(height * width, device=model.device).view(1, 1, height, width),
            additional_forward_args=(batch.targets,),
            perturbations_per_eval=model.batch_size,
        )
