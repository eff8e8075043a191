"""Score-CAM: maps of a layer, weighted by the score of the image seen through each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch.nn import functional as F

from xaibench.engine import (
    Batch,
    ChannelMasks,
    Fill,
    Maps,
    fill_images,
    filled_score,
    layer_maps,
    read_layer,
    soft_scores,
)
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class ScoreCam(Explainer):
    """Feature maps weighted by the score of the image seen through each: relu(sum_k a_k A_k).

    s_k is the target's score of x H_k + fill (1 - H_k), H_k the map A_k upsampled bilinearly
    and scaled to [0, 1]. ``weights``: ``softmax`` over the channels' s_k, as in the paper's
    algorithm 1, in grad-cam and torchcam; or ``increase``, s_k less the fill's own score, its
    equation 6. Not negative. ``layer`` names the module whose output is read; the model's own
    ``cam_layer`` by default. The paper's fill is black behind the normalisation, the data's mean.
    grad-cam upsamples H_k with the corners of map and image aligned (the paper's code does not),
    and scales the map that it returns to [0, 1]; that is left out here, so zero stays zero.
    Cost: a pass a channel, and one. Source: Wang et al. 2020, "Score-CAM: score-weighted visual
    explanations for convolutional neural networks", equations 6 to 8.
    """

    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")

    layer: str | None = None
    weights: Literal["softmax", "increase"] = "softmax"
    fill: Fill = "dataset_mean"
    space: Space = "logit"

    def check(self, model: Classifier) -> None:
        model.check_feature_maps(self._layer(model))

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self._layer(model))[0]
        return PassCount((channels + 1) * len(batch))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": self._layer(model)}

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        maps, _ = layer_maps(model, batch, self._layer(model))
        size = tuple(batch.images.shape[2:])
        masks = ChannelMasks(maps, size, torch.full_like(batch.targets, maps.shape[1]))
        fills = fill_images(batch, self.fill)
        scores = soft_scores(model, batch.images, fills, batch.targets, masks, self.space)
        if self.weights == "softmax":
            weights = scores.softmax(1)
        else:
            weights = scores - filled_score(model, batch, self.fill, self.space)[:, None]
        small = torch.einsum("bk,bkhw->bhw", weights, maps).relu()
        return F.interpolate(small[:, None], size, mode="bilinear")[:, 0]

    def _layer(self, model: Classifier) -> str:
        return read_layer(model, self.layer, "score_cam")
