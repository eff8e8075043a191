"""Eigen-Grad-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import EigenGradCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import PackageMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class EigenGradCam(PackageMap):
    """First principal component of the maps times the gradient, g_k A_k, over places; of it relu.

    The sign of the component is as the singular value decomposition gives it. Not negative; the
    package's scaling of each map to [0, 1] is left out. ``layer`` names the module whose output
    is read; the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: the grad-cam package, after Muhammad and
    Yeasin 2020, "Eigen-CAM: class activation map using principal components".
    """

    peer: ClassVar[type[BaseCAM]] = Peer
