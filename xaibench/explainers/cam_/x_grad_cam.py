"""XGrad-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import XGradCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import WeightedMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class XGradCam(WeightedMap):
    """XGrad-CAM: relu(sum_k a_k A_k), a_k = sum_ij g_kij A_kij / sum_ij A_kij, g the gradient.

    torchcam's is the same up to the constant that keeps the divisor from zero. ``eigen_smooth``
    takes the first principal component of the weighted maps instead of their sum. Not negative;
    the package's scaling of each map to [0, 1] is left out. ``layer`` names the module whose
    output is read; the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Fu et al. 2020, "Axiom-based Grad-CAM:
    towards accurate visualization and explanation of CNNs".
    """

    peer: ClassVar[type[BaseCAM]] = Peer
