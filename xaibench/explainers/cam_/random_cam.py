"""Randomly weighted maps by the grad-cam package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import RandomCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import SAME_FOR_EVERY_CLASS, SeededMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class RandomCam(SeededMap):
    """Sum of the layer's maps with random weights, uniform on [-1, 1], of it relu: a control.

    It knows what the layer gives, and nothing of the target. Weights are drawn from the image's
    seed. Not negative; the package's scaling of each map to [0, 1] is left out. ``layer`` names
    the module whose output is read; the model's own ``cam_layer`` by default.
    Cost: one forward pass; the package makes a backward one, too, and uses nothing of it.
    Source: the grad-cam package.
    """

    peer: ClassVar[type[BaseCAM]] = Peer
    needs: ClassVar[tuple[Need, ...]] = ("feature maps",)
    reads_gradients: ClassVar[bool] = False
    expected: ClassVar[Mapping[str, str]] = SAME_FOR_EVERY_CLASS
