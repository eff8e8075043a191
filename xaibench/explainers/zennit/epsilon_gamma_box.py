"""zennit's composite of the box, gamma and epsilon rules."""

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
class EpsilonGammaBox(CompositeExplainer):
    """LRP: box in the first layer, gamma in further convolutions, epsilon in linear layers.

    The box rule knows that pixels lie between black and white. ``gamma`` favours positive
    contributions; both numbers are zennit's defaults.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Montavon et al.
    2019, "Layer-wise relevance propagation: an overview".
    """

    epsilon: PositiveFloat = 1e-6
    gamma: PositiveFloat = 0.25

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.EpsilonGammaBox(
            low=low, high=high, epsilon=self.epsilon, gamma=self.gamma, canonizers=[merge]
        )
