"""Excitation backpropagation through zennit."""

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
class ExcitationBackprop(CompositeExplainer):
    """Marginal winning probability: z-plus in every convolution and linear layer.

    Only positive contributions pass, in every layer.
    Summed over channels, signed. Cost: one forward and one backward pass. Source: Zhang et al.
    2016, "Top-down neural attention by excitation backprop".
    """

    starts_at_one: ClassVar[bool] = True

    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        return composites.ExcitationBackprop(canonizers=[merge])
