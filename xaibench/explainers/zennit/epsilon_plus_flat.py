"""zennit's composite of the flat, z-plus and epsilon rules."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import PositiveFloat
from torch import Tensor
from zennit import composites
from zennit.canonizers import NamedMergeBatchNorm
from zennit.core import Composite

from xaibench.explainers.zennit.base import CompositeExplainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class EpsilonPlusFlat(CompositeExplainer):
    """LRP: flat in the first layer, z-plus in further convolutions, epsilon in linear layers.

    The flat rule shares relevance evenly over what the first layer sees. ``epsilon`` is zennit's.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Lapuschkin
    et al. 2019, "Unmasking Clever Hans predictors".
    """

    epsilon: PositiveFloat = 1e-6

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.EpsilonPlusFlat(epsilon=self.epsilon, canonizers=[merge])
