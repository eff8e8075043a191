"""KPCA-CAM by the grad-cam package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytorch_grad_cam as package
from pydantic import PositiveFloat
from pytorch_grad_cam.base_cam import BaseCAM

from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import SAME_FOR_EVERY_CLASS, SeededMap
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class KpcaCam(SeededMap):
    """First kernel principal component of the layer's maps over places, whatever the target.

    Of it relu. ``kernel`` and ``gamma`` (None: one over the number of maps) are the package's,
    as are their defaults. With more than 200 places the first vector of an iterative solver is
    drawn from the image's seed. Not negative; the package's scaling of each map to [0, 1] is
    left out. ``layer`` names the module whose output is read; the model's own ``cam_layer`` by
    default.
    Cost: one forward pass. Source: Karmani et al. 2024, "KPCA-CAM: visual explainability of
    deep computer vision models using kernel PCA".
    """

    peer: ClassVar[type[BaseCAM]] = package.KPCA_CAM
    needs: ClassVar[tuple[Need, ...]] = ("feature maps",)
    reads_gradients: ClassVar[bool] = False
    expected: ClassVar[Mapping[str, str]] = SAME_FOR_EVERY_CLASS

    kernel: Literal["sigmoid", "rbf", "poly", "cosine", "linear"] = "sigmoid"
    gamma: PositiveFloat | None = None

    def options(self) -> dict[str, object]:
        return {"kernel": self.kernel, "gamma": self.gamma}
