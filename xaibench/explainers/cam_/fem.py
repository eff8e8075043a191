"""FEM by the grad-cam package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytorch_grad_cam as package
from pydantic import PositiveFloat
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import SAME_FOR_EVERY_CLASS, PackageMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Fem(PackageMap):
    """FEM: relu(sum_k a_k A_k), a_k the share of places above mean + ``k`` deviations of map k.

    Whatever the target. ``k``: the package's default and the paper's. Not negative; the
    package's scaling of each map to [0, 1] is left out. ``layer`` names the module whose output
    is read; the model's own ``cam_layer`` by default.
    Cost: one forward pass. Source: Fuad et al. 2020, "Features understanding in 3D CNNs for
    actions recognition in video".
    """

    peer: ClassVar[type[BaseCAM]] = package.FEM
    needs: ClassVar[tuple[Need, ...]] = ("feature maps",)
    reads_gradients: ClassVar[bool] = False
    expected: ClassVar[Mapping[str, str]] = SAME_FOR_EVERY_CLASS

    k: PositiveFloat = 2.0

    def options(self) -> dict[str, object]:
        return {"k": self.k}
