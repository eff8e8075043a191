"""Eigen-CAM by the grad-cam package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import EigenCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import SAME_FOR_EVERY_CLASS, PackageMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class EigenCam(PackageMap):
    """First principal component of the layer's maps over places, whatever the target; of it relu.

    The package centres the maps first. The sign of the component is
    as the singular value decomposition gives it. Not negative; the package's scaling of each
    map to [0, 1] is left out. ``layer`` names the module whose output is read; the model's own
    ``cam_layer`` by default.
    Cost: one forward pass. Source: Muhammad and Yeasin 2020, "Eigen-CAM: class activation map
    using principal components".
    """

    peer: ClassVar[type[BaseCAM]] = Peer
    needs: ClassVar[tuple[Need, ...]] = ("feature maps",)
    reads_gradients: ClassVar[bool] = False
    expected: ClassVar[Mapping[str, str]] = SAME_FOR_EVERY_CLASS
