"""zennit's composite of the z-plus and epsilon rules."""

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
class EpsilonPlus(CompositeExplainer):
    """LRP: the z-plus rule in convolutions, epsilon in linear layers.

    Only positive contributions pass a convolution, all of them, with a stabiliser, a linear layer.
    ``epsilon``: zennit's default.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Bach et al. 2015,
    "On pixel-wise explanations", and Montavon et al. 2017, "Deep Taylor decomposition".
    """

    epsilon: PositiveFloat = 1e-6

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.EpsilonPlus(epsilon=self.epsilon, canonizers=[merge])
