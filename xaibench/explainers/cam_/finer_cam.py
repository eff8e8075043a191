"""Finer-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import pytorch_grad_cam as package
import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget
from torch import Tensor

from xaibench.engine import Batch, layer_gradients
from xaibench.explainers.cam_.base import FeatureMaps, WeightedMap, check_other_class, columns
from xaibench.models.base import Classifier
from xaibench.registry import register

_METHODS = {
    "grad_cam": package.GradCAM,
    "grad_cam_plus_plus": package.GradCAMPlusPlus,
    "x_grad_cam": package.XGradCAM,
    "layer_cam": package.LayerCAM,
}


@register("explainer")
@dataclass(frozen=True)
class FinerCam(WeightedMap):
    """Finer-CAM: a CAM of what tells the target from the classes most like it.

    It differentiates sum_d p_d (y - ``alpha`` y_d) / sum_d p_d, y the target's logit, y_d those
    of the ``comparisons`` classes whose logits are nearest to it, p the softmax, also of
    several labels or outputs; a single logit z has -z and z. ``of`` makes the map. The
    package's defaults are ours. ``eigen_smooth`` takes the first principal component of the
    weighted maps instead of their sum. Not negative; the package's scaling of each map to [0,
    1] is left out. ``layer`` names the module whose output is read; the model's own
    ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Zhang et al. 2025, "Finer-CAM: spotting the
    difference reveals finer details for visual explanation".
    """

    peer: ClassVar[type[BaseCAM]] = package.GradCAM

    of: Literal["grad_cam", "grad_cam_plus_plus", "x_grad_cam", "layer_cam"] = "grad_cam"
    alpha: NonNegativeFloat = 1.0
    comparisons: PositiveInt = 3

    def check(self, model: Classifier) -> None:
        super().check(model)
        check_other_class(self, model)

    def made(self, model: Classifier, layer: str) -> BaseCAM:
        options = {"reshape_transform": model.feature_maps}
        cam = _METHODS[self.of](model, [model.module(layer)], **options)
        cam.activations_and_grads.release()
        return cam

    def maps_and_gradients(
        self, model: Classifier, batch: Batch, layer: str
    ) -> tuple[FeatureMaps, FeatureMaps]:
        return layer_gradients(model, batch, layer, partial(self._objective, model, batch))

    def _objective(
        self, model: Classifier, batch: Batch, logits: Float[Tensor, "batch output"]
    ) -> Float[Tensor, " batch"]:
        scores, own = columns(model, logits), batch.targets[:, None]
        away = (scores - scores.gather(1, own)).abs().detach().scatter(1, own, torch.inf)
        nearest = away.argsort(dim=1, stable=True)[:, : min(self.comparisons, scores.shape[1] - 1)]
        rows = zip(scores, batch.targets.tolist(), nearest.tolist(), strict=True)
        return torch.stack(
            [FinerWeightedTarget(target, others, self.alpha)(row) for row, target, others in rows]
        )
