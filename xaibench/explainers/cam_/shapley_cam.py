"""ShapleyCAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pytorch_grad_cam import ShapleyCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM
from torch.nn.attention import SDPBackend, sdpa_kernel

from xaibench.engine import Batch, outputs_kept
from xaibench.explainers.cam_.base import Small, WeightedMap
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class ShapleyCam(WeightedMap):
    """ShapleyCAM: relu(sum_k a_k A_k), a_k the mean over map k of g - H A / 2.

    g is the gradient and H the Hessian of the target's logit at the layer's output, by a
    product of Hessian and vector. Behind a layer that only ReLU and linear layers follow, H is
    zero and the map is Grad-CAM's. ``eigen_smooth`` takes the first principal component of the
    weighted maps instead of their sum. Not negative; the package's scaling of each map to [0,
    1] is left out. ``layer`` names the module whose output is read; the model's own
    ``cam_layer`` by default.
    Cost: one forward and two backward passes. Source: Cai 2025, "CAMs as Shapley value-based
    explainers".
    """

    peer: ClassVar[type[BaseCAM]] = Peer

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), 2 * len(batch))

    def small(self, model: Classifier, batch: Batch) -> Small:
        model.requires_grad_(True)  # else the gradient may be a constant, which has no product
        layer = self.layer_name(model)
        cam = self.made(model, layer)
        # Fused attention has no second derivative.
        plain = sdpa_kernel(SDPBackend.MATH)
        with plain, torch.enable_grad(), outputs_kept([model.module(layer)]) as kept:
            images = batch.images.detach().clone().requires_grad_()
            score = model.score(images, batch.targets, "logit").sum()
            gradient = torch.autograd.grad(score, kept[0], create_graph=True)[0]
            weights = cam.get_cam_weights(images, None, None, kept[0], gradient)
        model.passes.backward += len(batch)  # the product does not reach the logits, which count
        # The package weights maps as they are given, and fails on tokens: they are read first.
        maps = model.feature_maps(kept[0].detach())
        cam.get_cam_weights = lambda *_: weights
        return self.combined(cam, batch, maps, maps)
