"""Guided Grad-CAM, through captum."""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import GuidedGradCam as Peer

from xaibench.engine import Batch
from xaibench.engine.hookable import hookable
from xaibench.explainers.captum.base import (
    Attributions,
    PixelAttribution,
    check_layer,
    check_relu,
    inputs,
    layer_name,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class GuidedGradCam(PixelAttribution):
    """Guided backpropagation of the logit times the upsampled Grad-CAM of ``layer``, signed.

    Grad-CAM is upsampled bilinearly, as in the paper; captum's default is ``nearest``. ``layer`` is
    by default the model's own ``cam_layer``; ``channels`` (``sum``, ``mean_abs``, ``max_abs``) is
    ours. A network without ReLU is refused.
    Cost: two forward and two backward passes. Source: Selvaraju et al. 2017, "Grad-CAM: visual
    explanations from deep networks via gradient-based localization", section 3.2.
    """

    layer: str | None = None
    needs = ("gradients", "feature maps")

    def check(self, model: Classifier) -> None:
        check_layer(self, model, self.layer)
        check_relu(self, model)

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": layer_name(self, model, self.layer)}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * len(batch), 2 * len(batch))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with hookable(model, layer_name(self, model, self.layer)) as score:
            return Peer(score, score.mark).attribute(
                inputs(batch),
                additional_forward_args=(batch.targets,),
                interpolate_mode="bilinear",
            )
