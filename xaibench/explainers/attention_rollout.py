"""Attention rollout: how much of each patch flows into what the head reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.engine import Batch, Maps, maps_in_batches
from xaibench.engine.attention import attention_of, check_attention, patches_read
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class AttentionRollout(Explainer):
    """Attention rollout: the product over layers of (A + I), rows scaled to add up to 1.

    A is a layer's attention, its heads fused by ``heads``: ``mean``, ``min`` or ``max``; for the
    mean the factor is 0.5 A + 0.5 I. ``discard`` is the share of the smallest entries of each
    image's A that are set to zero before (0: none, as in the paper). The map is the product's row
    of the class token at the patches, upsampled bilinearly; for a model that reads the mean of its
    patches the mean of their rows. In [0, 1], not negative. The same for every target: attention
    does not know which class is asked for.
    Cost: one pass. Source: Abnar and Zuidema 2020, "Quantifying attention flow in transformers",
    equation 1.
    """

    needs = ("attention",)
    expected: ClassVar[Mapping[str, str]] = {
        "explains each class differently": "attention is the same whatever class is asked for"
    }

    heads: Literal["mean", "min", "max"] = "mean"
    discard: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def check(self, model: Classifier) -> None:
        check_attention(model)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        return maps_in_batches(model, batch, lambda part: self._maps(model, part))

    def _maps(self, model: Classifier, batch: Batch) -> Maps:
        layers = attention_of(model, batch.images, self._flow)
        rollout = reduce(lambda below, layer: layer @ below, layers)
        return patches_read(model, rollout, tuple(batch.images.shape[2:]))

    def _flow(
        self, attention: Float[Tensor, "batch head query key"]
    ) -> Float[Tensor, "batch query key"]:
        fused = {"mean": torch.mean, "min": torch.amin, "max": torch.amax}[self.heads](attention, 1)
        flat = fused.flatten(1)
        count = int(self.discard * flat.shape[1])
        if count:
            smallest = flat.argsort(dim=1, stable=True)[:, :count]
            fused = flat.scatter(1, smallest, 0.0).view_as(fused)
        flow = fused + torch.eye(fused.shape[1], device=fused.device)
        return flow / flow.sum(2, keepdim=True)
