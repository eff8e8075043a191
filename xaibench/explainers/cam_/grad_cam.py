"""Grad-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import GradCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import WeightedMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class GradCam(WeightedMap):
    """Grad-CAM by the grad-cam package: relu(sum_k a_k A_k), a_k the mean gradient over map k.

    ``grad_cam`` is the same; it stands here beside the package's others. ``eigen_smooth`` takes
    the first principal component of the weighted maps instead of their sum. Not negative; the
    package's scaling of each map to [0, 1] is left out. ``layer`` names the module whose output
    is read; the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Selvaraju et al. 2017, "Grad-CAM: visual
    explanations from deep networks via gradient-based localization", equations 1 and 2.
    """

    peer: ClassVar[type[BaseCAM]] = Peer
