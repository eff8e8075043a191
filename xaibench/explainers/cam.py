"""Class activation mapping, from the weights of the last linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine import Batch, Maps, Pixels, maps_in_batches
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register

_NEEDS = (
    "cam needs global average pooling right before the last linear layer, and this model {}; "
    "use grad_cam, which takes any convolutional layer"
)


@register("explainer")
@dataclass(frozen=True)
class Cam(Explainer):
    """Class activation map of the target, signed: m(x, y) = sum_k w_k f_k(x, y).

    w are the target's weights in the last linear layer and f the feature maps that are pooled for
    it; the map is upsampled bilinearly to the image. For class 0 of a single logit, w is -w. The
    mean of the small map is the target's logit less its bias, which is checked. The maps are what
    the model's pooling reads, or, where that is no module of its own (transformers), the output of
    ``layer``, by default the model's ``cam_layer``.
    Cost: one pass. Source: Zhou et al. 2016, "Learning deep features for discriminative
    localization", equation 2.
    """

    needs = ("feature maps", "linear head")

    layer: str | None = None

    def check(self, model: Classifier) -> None:
        if model.linear_head is None or (self._layer(model) or model.pool) is None:
            raise UserError(_NEEDS.format("has no such pair of layers"))
        with torch.no_grad(), model.as_found():
            model.eval()
            before = model.passes.copy()
            try:
                features, pooled = self._features(model, model.example())
            except UserError as error:
                raise UserError(_NEEDS.format(f"pools no maps: {error}")) from None
            model.passes = before  # a check costs the run nothing
        if pooled.shape != features.shape[:2]:
            raise UserError(_NEEDS.format(f"pools features of shape {tuple(features.shape)}"))
        if not torch.allclose(features.mean(dim=(2, 3)), pooled, rtol=1e-3, atol=1e-4):
            raise UserError(_NEEDS.format("changes the pooled features before its linear layer"))

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": self._layer(model) or f"input of {model.pool}"}

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        maps = maps_in_batches(model, batch, lambda part: self._maps(model, part))[:, None]
        return F.interpolate(maps, batch.images.shape[2:], mode="bilinear")[:, 0]

    def _maps(self, model: Classifier, batch: Batch) -> Float[Tensor, "batch h w"]:
        with torch.no_grad():
            features, _ = self._features(model, batch.images)
        weight = model.module(model.linear_head).weight.detach()
        if model.head == "single_logit":
            chosen = torch.where(batch.targets[:, None] == 1, weight, -weight)
        else:
            chosen = weight[batch.targets]
        return torch.einsum("bk,bkhw->bhw", chosen, features)

    def _layer(self, model: Classifier) -> str | None:
        """Return whose output the maps are; None where they are the input of the pool."""
        return self.layer or (model.cam_layer if model.pool is None else None)

    def _features(self, model: Classifier, images: Pixels) -> tuple[Tensor, Tensor]:
        """Return the feature maps before pooling, and the input of the linear layer."""
        seen: dict[str, Tensor] = {}
        layer = self._layer(model)
        read = lambda name: lambda _, inputs: seen.__setitem__(name, inputs[0])
        given = lambda _, __, output: seen.__setitem__("features", output)
        hooks = [
            model.module(layer).register_forward_hook(given)
            if layer
            else model.module(model.pool).register_forward_pre_hook(read("features")),
            model.module(model.linear_head).register_forward_pre_hook(read("pooled")),
        ]
        try:
            model.logits(images)
        finally:
            for hook in hooks:
                hook.remove()
        return model.feature_maps(seen["features"]), seen["pooled"]
