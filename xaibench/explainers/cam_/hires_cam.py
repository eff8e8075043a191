"""HiResCAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import HiResCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import PackageMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class HiResCam(PackageMap):
    """HiResCAM: relu(sum_k g_k A_k), place by place, g the gradient.

    Not negative; the package's scaling of each map to [0, 1] is left out. ``layer`` names the
    module whose output is read; the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Draelos and Carin 2020, "Use HiResCAM
    instead of Grad-CAM for faithful explanations of convolutional neural networks".
    """

    peer: ClassVar[type[BaseCAM]] = Peer
