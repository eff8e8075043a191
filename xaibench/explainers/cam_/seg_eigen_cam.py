"""Seg-Eigen-CAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import SegEigenCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import PackageMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class SegEigenCam(PackageMap):
    """First principal component over places of the maps times |gradient|, its larger side up.

    Of it relu. Made for segmentation; here of the target's logit. Not negative; the package's
    scaling of each map to [0, 1] is left out. ``layer`` names the module whose output is read;
    the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Chung and Ying 2025, "Seg-Eigen-CAM:
    eigen-value-based visual explanations for semantic segmentation models", equations 10 to 13.
    """

    peer: ClassVar[type[BaseCAM]] = Peer
