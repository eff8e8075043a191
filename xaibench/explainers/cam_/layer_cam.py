"""LayerCAM by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytorch_grad_cam import LayerCAM as Peer
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.cam_.base import WeightedMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class LayerCam(WeightedMap):
    """LayerCAM: relu(sum_k relu(g_k) A_k), place by place, g the gradient.

    ``eigen_smooth`` takes the first principal component of the weighted maps instead of their
    sum. Not negative; the package's scaling of each map to [0, 1] is left out. ``layer`` names
    the module whose output is read; the model's own ``cam_layer`` by default.
    Cost: one forward and one backward pass. Source: Jiang et al. 2021, "LayerCAM: exploring
    hierarchical class activation maps for localization".
    """

    peer: ClassVar[type[BaseCAM]] = Peer
