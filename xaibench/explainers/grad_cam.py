"""Grad-CAM and its family, through the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytorch_grad_cam as package
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine import (
    Batch,
    Maps,
    block_layer_gradients,
    block_layer_maps,
    maps_in_batches,
)
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register

_VARIANTS = {
    "gradcam": package.GradCAM,
    "gradcam++": package.GradCAMPlusPlus,
    "xgradcam": package.XGradCAM,
    "hirescam": package.HiResCAM,
    "layercam": package.LayerCAM,
    "gradcamelementwise": package.GradCAMElementWise,
    "eigencam": package.EigenCAM,
    "eigengradcam": package.EigenGradCAM,
}


@register("explainer")
@dataclass(frozen=True)
class GradCam(Explainer):
    """Grad-CAM of the target's logit: relu(sum_k a_k A_k), a_k the mean gradient over map k.

    ``variant`` chooses another member of the family, computed by the grad-cam package. The
    package scales each map to [0, 1]; that is left out here, so zero stays zero. Not negative.
    ``layer`` names the module whose output is read; the model's own ``cam_layer`` by default.
    Tokens of a transformer are read as the map of their patches, without class and register
    tokens; the default is the last layer whose patches still reach the head, in a ViT that reads
    its class token the last block's ``norm1``.
    Cost: one forward and one backward pass, made once for all of the family that read one layer.
    Source: Selvaraju et al. 2017, equations 1 and 2.
    """

    needs = ("gradients", "feature maps")

    variant: Literal[
        "gradcam",
        "gradcam++",
        "xgradcam",
        "hirescam",
        "layercam",
        "gradcamelementwise",
        "eigencam",
        "eigengradcam",
    ] = "gradcam"
    layer: str | None = None

    @property
    def expected(self) -> dict[str, str]:
        """EigenCAM is the first principal component of the maps, whatever the target."""
        agnostic = {"explains each class differently": "EigenCAM asks for no class"}
        return agnostic if self.variant == "eigencam" else {}

    def check(self, model: Classifier) -> None:
        model.check_feature_maps(self._layer(model))

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), 0 if self.variant == "eigencam" else len(batch))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": self._layer(model)}

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        with model.as_found():
            model.requires_grad_(False)  # the gradient is wanted at the layer, not at the weights
            maps = maps_in_batches(model, batch, lambda part: self._maps(model, part))
        maps = maps.to(model.device)[:, None]
        return F.interpolate(maps, batch.images.shape[2:], mode="bilinear")[:, 0]

    def _layer(self, model: Classifier) -> str:
        layer = self.layer or model.cam_layer
        if layer is None:
            raise UserError("grad_cam: the model names no layer to read; set grad_cam's `layer`")
        return layer

    def _maps(self, model: Classifier, batch: Batch) -> Float[Tensor, "batch h w"]:
        layer = self._layer(model)
        cam = _VARIANTS[self.variant](model, [], reshape_transform=model.feature_maps)
        if cam.uses_gradients:
            kept, at = block_layer_gradients(model, batch, layer)
            gradients = at.cpu().numpy()
        else:
            kept, gradients = block_layer_maps(model, batch, layer), None
        maps = cam.get_cam_image(
            batch.images, None, None, kept.cpu().numpy(), gradients, eigen_smooth=False
        )
        return torch.as_tensor(maps).float().relu()
