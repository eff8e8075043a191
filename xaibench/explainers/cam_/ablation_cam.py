"""Ablation-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pytorch_grad_cam import AblationCAM, AblationLayer, AblationLayerVit
from pytorch_grad_cam import ablation_cam as package
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn

from xaibench.engine import Batch, outputs_kept
from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import (
    Small,
    WeightedMap,
    module_kept,
    target_functions,
    without_progress,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


class _Peer(AblationCAM):
    """The package's, that keeps a copy: an operation in place would overwrite what it keeps."""

    def save_activation(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.activations = output.clone()


@register("explainer")
@dataclass(frozen=True)
class AblationCam(WeightedMap):
    """Ablation-CAM by the grad-cam package: relu(sum_k (y - y_k) / y A_k), y_k without map k.

    Image by image, channels in batches of 32, its default. It sets a channel to zero; where a
    layer gives values below zero, to 10^7 less than the least value in hand, of tokens the
    class token's, too, so that scores say little there. Divided by the target's logit y,
    weights turn around where y is below zero, and are the same for both classes of a single
    logit. ``ablation_cam`` is our own, without either. ``eigen_smooth`` takes the first
    principal component of the weighted maps instead of their sum. Not negative; the package's
    scaling of each map to [0, 1] is left out. ``layer`` names the module whose output is read;
    the model's own ``cam_layer`` by default.
    Cost: a forward pass a channel, and two. Source: Desai and Ramaswamy 2020, "Ablation-CAM:
    visual explanations for deep convolutional network via gradient-free localization",
    equations 4 and 5.
    """

    peer: ClassVar[type[BaseCAM]] = _Peer
    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")
    at_once: ClassVar[int | None] = 1

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self.layer_name(model))[0]
        return PassCount((channels + 2) * len(batch))

    def small(self, model: Classifier, batch: Batch) -> Small:
        layer = self.layer_name(model)
        with torch.no_grad(), outputs_kept([model.module(layer)]) as kept:
            model(batch.images)
        maps, cam = model.feature_maps(kept[0]), self.made(model, layer)
        # Where they are a view of another shape, channels are not the first dimension.
        cam.ablation_layer = AblationLayer() if maps is kept[0] else AblationLayerVit()
        targets = target_functions(model, batch)
        with module_kept(model, layer), without_progress(package):
            return self.combined(cam, batch, maps, maps, targets)
