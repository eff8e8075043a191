"""Finer-CAM by torchcam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torchcam.methods import FinerCAM as Peer
from torchcam.methods import GradCAM, LayerCAM

from xaibench.engine import Batch
from xaibench.explainers.cam_.base import Small, TorchcamMap, check_other_class, columns
from xaibench.models.base import Classifier
from xaibench.registry import register

_METHODS = {"grad_cam": GradCAM, "layer_cam": LayerCAM}


@register("explainer")
@dataclass(frozen=True)
class TorchcamFinerCam(TorchcamMap):
    """Finer-CAM by torchcam: a CAM of y - gamma mean_d y_d, d the classes most like the target.

    y is the target's logit, y_d those of the ``references`` classes whose logits are nearest to
    it; a single logit z has -z and z. grad-cam's (``cam.finer_cam``) weighs them by their
    softmax. ``of`` makes the map. torchcam's defaults are ours. Not negative; torchcam's
    scaling to [0, 1] is left out. ``layer`` names the module whose output is read; the model's
    own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Zhang et al. 2025, "Finer-CAM: spotting the
    difference reveals finer details for visual explanation".
    """

    of: Literal["grad_cam", "layer_cam"] = "grad_cam"
    gamma: NonNegativeFloat = 0.6
    references: PositiveInt = 3

    def check(self, model: Classifier) -> None:
        super().check(model)
        check_other_class(self, model)

    def extractor(self, twin: Classifier, **options: object) -> Peer:
        compared = {"gamma": self.gamma, "num_references": self.references}
        return Peer(twin, base_method=_METHODS[self.of], **compared, **options)

    def extracted(
        self,
        extractor: Peer,
        model: Classifier,
        batch: Batch,
        logits: Float[Tensor, "batch output"],
    ) -> Small:
        scores = columns(model, logits)
        return extractor(batch.targets.tolist(), scores, normalized=False)[0]
