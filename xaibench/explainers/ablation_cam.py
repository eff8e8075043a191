"""Ablation-CAM: maps of a layer, weighted by the fall of the score without each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from xaibench.engine import Batch, Maps, ablated_scores, layer_maps, read_layer
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class AblationCam(Explainer):
    """Feature maps weighted by the drop of the score without each: relu(sum_k (y - y_k) A_k).

    y is the target's score and y_k the score with channel k of the layer set to zero. Not
    negative. The paper and the grad-cam package divide each weight by y, which scales an image's
    map and turns it around where y is below zero; that is left out, as is grad-cam's scaling to
    [0, 1]. Where a layer gives values below zero, grad-cam sets the channel to 10^7 less than
    the least of them instead of to zero; of a transformer's tokens it clears the class token too.
    ``layer`` names the module whose output is read; the model's own ``cam_layer`` by default.
    Cost: a pass a channel, and one; a channel's takes the time of what stands behind the layer.
    Source: Desai and Ramaswamy 2020, "Ablation-CAM: visual explanations for deep convolutional
    network via gradient-free localization", equations 4 and 5.
    """

    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")

    layer: str | None = None
    space: Space = "logit"

    def check(self, model: Classifier) -> None:
        model.check_feature_maps(self._layer(model))

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self._layer(model))[0]
        return PassCount((channels + 1) * len(batch))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": self._layer(model)}

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        layer = self._layer(model)
        maps, scores = layer_maps(model, batch, layer, self.space)
        ablated = ablated_scores(model, batch, layer, maps.shape[1], self.space)
        small = torch.einsum("bk,bkhw->bhw", scores[:, None] - ablated, maps).relu()
        return F.interpolate(small[:, None], batch.images.shape[2:], mode="bilinear")[:, 0]

    def _layer(self, model: Classifier) -> str:
        return read_layer(model, self.layer, "ablation_cam")
