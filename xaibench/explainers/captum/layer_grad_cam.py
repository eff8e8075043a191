"""Grad-CAM with captum's own choices."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import LayerGradCam as Peer

from xaibench.engine import Batch, Maps
from xaibench.explainers.captum.base import (
    Attribution,
    Attributions,
    check_layer,
    inputs,
    layer_name,
    score_function,
    upsampled,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class LayerGradCam(Attribution):
    """Grad-CAM of the score: sum_k a_k A_k, a_k the mean gradient over map k, signed.

    ``relu`` keeps what is positive, as in the paper; captum, too, leaves it out by default.
    Upsampled bilinearly. ``layer`` is by default the model's own ``cam_layer``.
    Cost: one forward and one backward pass. Source: Selvaraju et al. 2017, "Grad-CAM: visual
    explanations from deep networks via gradient-based localization", equations 1 and 2.
    """

    layer: str | None = None
    relu: bool = False
    space: Space = "logit"
    needs = ("gradients", "feature maps")

    def check(self, model: Classifier) -> None:
        check_layer(self, model, self.layer)

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": layer_name(self, model, self.layer)}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        return upsampled(attributions[:, 0], batch)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        layer = model.module(layer_name(self, model, self.layer))
        return Peer(score_function(model, self.space), layer).attribute(
            inputs(batch),
            additional_forward_args=(batch.targets,),
            relu_attributions=self.relu,
        )
