"""Score-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import ScoreCAM as Peer
from pytorch_grad_cam import score_cam as module
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.engine import Batch, layer_maps
from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import (
    Small,
    WeightedMap,
    normalised,
    target_functions,
    without_progress,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class ScoreCam(WeightedMap):
    """Score-CAM by the grad-cam package: relu(sum_k a_k A_k), a the softmax over k of scores.

    The target's logits of the normalised image times A_k, upsampled with corners aligned and
    scaled to [0, 1], image by image. ``score_cam`` is our own, in full batches of all images.
    ``eigen_smooth`` takes the first principal component of the weighted maps instead of their
    sum. Not negative; the package's scaling of each map to [0, 1] is left out. ``layer`` names
    the module whose output is read; the model's own ``cam_layer`` by default.
    Cost: a forward pass a channel, and one. Source: Wang et al. 2020, "Score-CAM:
    score-weighted visual explanations for convolutional neural networks", algorithm 1.
    """

    peer: ClassVar[type[BaseCAM]] = Peer
    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")
    at_once: ClassVar[int | None] = 1

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self.layer_name(model))[0]
        return PassCount((channels + 1) * len(batch))

    def small(self, model: Classifier, batch: Batch) -> Small:
        layer, (twin, given) = self.layer_name(model), normalised(model, batch)
        maps, _ = layer_maps(twin, given, layer)
        cam = self.made(twin, layer)
        cam.batch_size = model.batch_size
        targets = target_functions(model, batch)
        with without_progress(module):
            return self.combined(cam, given, maps, maps, targets)
