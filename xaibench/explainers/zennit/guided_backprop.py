"""Guided backpropagation through zennit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from zennit import composites
from zennit.canonizers import NamedMergeBatchNorm
from zennit.core import Composite

from xaibench.explainers.zennit.base import CompositeExplainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class GuidedBackprop(CompositeExplainer):
    """Gradient of the target's logit in which a rectifier lets only positive gradients pass.

    It is known to depend little on the network's upper layers.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Springenberg
    et al. 2015, "Striving for simplicity".
    """

    starts_at_one: ClassVar[bool] = True
    needs_relu: ClassVar[bool] = True

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.GuidedBackprop(canonizers=[merge])
