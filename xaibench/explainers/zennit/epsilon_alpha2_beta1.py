"""zennit's composite of the alpha-beta and epsilon rules."""

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
class EpsilonAlpha2Beta1(CompositeExplainer):
    """LRP: alpha 2, beta 1 in convolutions, epsilon in linear layers.

    Positive contributions count twice, negative ones once against. ``epsilon``: zennit's default.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Bach et al. 2015,
    "On pixel-wise explanations", equation 60.
    """

    epsilon: PositiveFloat = 1e-6

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.EpsilonAlpha2Beta1(epsilon=self.epsilon, canonizers=[merge])
