"""Gradient of a smoothed network through zennit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveFloat
from torch import Tensor
from zennit import composites
from zennit.canonizers import NamedMergeBatchNorm
from zennit.core import Composite

from xaibench.explainers.zennit.base import CompositeExplainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class BetaSmooth(CompositeExplainer):
    """Gradient of the target's logit with rectifiers replaced by soft ones in the backward pass.

    ``beta``: sharpness of the softplus; zennit's default.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Dombrowski et al.
    2019, "Explanations can be manipulated and geometry is to blame".
    """

    starts_at_one: ClassVar[bool] = True
    needs_relu: ClassVar[bool] = True

    beta: PositiveFloat = 10.0

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.BetaSmooth(beta_smooth=self.beta, canonizers=[merge])
