"""Guided Grad-CAM: guided backpropagation where Grad-CAM finds the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine import Batch, Channels, Maps, Pixels, maps_in_batches, over_channels
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.networks.guided_relu import guided_relus, relu_names
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class GuidedGradCam(Explainer):
    """Guided backpropagation to the image, times Grad-CAM enlarged to the image.

    Guided backpropagation is the gradient of the target's score with every ReLU letting only
    positive gradients through; Grad-CAM is relu(sum_k a_k A_k), a_k the plain gradient's mean over
    map k, enlarged bilinearly as in the paper (captum's default is nearest). Only ReLU modules are
    guided, wherever they stand and however often they are used; a network without any is refused.
    ``channels`` makes one number of a pixel's channels: ``mean_abs`` (not negative), or ``sum``
    (signed). ``layer`` names the module whose output Grad-CAM reads; the model's own ``cam_layer``
    by default.
    Cost: one forward and two backward passes. Source: Selvaraju et al. 2017, "Grad-CAM: visual
    explanations from deep networks via gradient-based localization", section 3.2; Springenberg et
    al. 2015, "Striving for simplicity: the all convolutional net".
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients", "feature maps")
    layer: str | None = None
    channels: Channels = "mean_abs"
    space: Space = "logit"

    def check(self, model: Classifier) -> None:
        if not relu_names(model.net):
            raise UserError(
                "guided_grad_cam: the network has no ReLU module to guide gradients through; "
                "explain it by grad_cam, or by smooth_grad"
            )
        model.check_feature_maps(self._layer(model))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": self._layer(model), "guided_relus": len(relu_names(model.net))}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), 2 * len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        with model.as_found():
            model.requires_grad_(False)  # the gradient is wanted at image and layer
            relevance = maps_in_batches(model, batch, lambda part: self._relevance(model, part))
        return over_channels(relevance, self.channels)

    def _layer(self, model: Classifier) -> str:
        layer = self.layer or model.cam_layer
        if layer is None:
            raise UserError(
                "guided_grad_cam: the model names no layer to read; set guided_grad_cam's `layer`"
            )
        return layer

    def _relevance(self, model: Classifier, batch: Batch) -> Pixels:
        outputs: list[Tensor] = []

        def keep(module: torch.nn.Module, inputs: object, output: Tensor) -> Tensor:
            outputs.append(output)
            return output.clone()  # what comes behind may overwrite what is kept

        hook = model.module(self._layer(model)).register_forward_hook(keep)
        try:
            with torch.enable_grad(), guided_relus(model.net) as relus:
                images = batch.images.detach().clone().requires_grad_()
                score = model.score(images, batch.targets, self.space).sum()
                relus.on = False
                plain = torch.autograd.grad(score, outputs[-1], retain_graph=True)[0]
                relus.on = True
                guided = torch.autograd.grad(score, images)[0]
        finally:
            hook.remove()
        maps, gradients = (model.feature_maps(each) for each in (outputs[-1].detach(), plain))
        cam = (gradients.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
        return guided * F.interpolate(cam, guided.shape[2:], mode="bilinear")
