"""The deconvolutional network through zennit."""

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
class DeconvNet(CompositeExplainer):
    """Gradient of the target's logit in which a rectifier rectifies the gradient alone.

    What the rectifier held back in the forward pass does not matter.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Zeiler 2014,
    "Visualizing and understanding convolutional networks".
    """

    starts_at_one: ClassVar[bool] = True
    needs_relu: ClassVar[bool] = True

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.DeconvNet(canonizers=[merge])
