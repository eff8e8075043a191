"""Grad-CAM++ by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import GradCAMPlusPlus as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import WeightedMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class GradCamPlusPlus(WeightedMap):
    """Grad-CAM++: relu(sum_k a_k A_k), a_k = sum_ij alpha_kij relu(g_kij), g the gradient.

    alpha = g^2 / (2 g^2 + g^3 sum_ij A_kij), the derivatives of the exponential of the logit.
    ``eigen_smooth`` takes the first principal component of the weighted maps instead of their
    sum. Not negative; the package's scaling of each map to [0, 1] is left out. ``layer`` names
    the module whose output is read; the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Chattopadhay et al. 2018, "Grad-CAM++:
    generalized gradient-based visual explanations for deep convolutional networks", equation
    19.
    """

    peer: ClassVar[type[BaseCAM]] = Peer
