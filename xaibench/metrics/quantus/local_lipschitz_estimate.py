"""Local Lipschitz estimate of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.metrics.quantus.base import StabilityMetric
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class LocalLipschitzEstimate(StabilityMetric):
    """Quantus: largest change of the map by the change of the image; lower is better.

    The largest |map(x + noise) - map(x)| / |noise|, Euclidean norms, maps over their largest
    absolute value, over ``nr_samples`` copies (10; Quantus: 200) with normal noise of
    ``perturb_std`` (0.1), cut to [0, 1]. In [0, inf).
    Undefined where Quantus refuses a map: the image's, or one of a copy's.
    Cost: ``nr_samples`` more maps an image. Source: Alvarez-Melis and Jaakkola 2018, "On the
    robustness of interpretability methods", as ``LocalLipschitzEstimate`` of Quantus.
    """

    library: ClassVar[type[quantus.LocalLipschitzEstimate]] = quantus.LocalLipschitzEstimate

    perturb_std: Annotated[float, Field(gt=0)] = 0.1

    def noise(self, uniform: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        # Of 0 it would be infinite.
        return self.perturb_std * torch.special.ndtri(uniform.clamp_min(2.0**-54))

    def asked(self) -> dict[str, Any]:
        return super().asked() | {"normalise_func_kwargs": {"normalise_axes": (1, 2, 3)}}
