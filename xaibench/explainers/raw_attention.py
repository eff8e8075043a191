"""Raw attention: what the token that the head reads takes from each patch, in one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Maps, maps_in_batches
from xaibench.engine.attention import attention_of, check_attention, patches_read
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.networks.attention import attention_layers
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class RawAttention(Explainer):
    """Attention of the class token for each patch in one layer, the heads averaged.

    ``block`` counts layers of attention from 0, or from the last by -1. A model that reads the
    mean of its patches has the mean of their rows instead. Upsampled bilinearly; in [0, 1], not
    negative. The same for every target: attention does not know which class is asked for.
    Cost: one pass. Source: the baseline of Abnar and Zuidema 2020, "Quantifying attention flow in
    transformers", section 3; shown for images by Caron et al. 2021, "Emerging properties in
    self-supervised vision transformers", figure 1.
    """

    needs = ("attention",)
    expected: ClassVar[Mapping[str, str]] = {
        "explains each class differently": "attention is the same whatever class is asked for"
    }

    block: int = -1

    def check(self, model: Classifier) -> None:
        check_attention(model)
        layers = len(attention_layers(model.net))
        if not -layers <= self.block < layers:
            raise UserError(
                f"raw_attention: the model has {layers} layers of attention, so that `block` is "
                f"from {-layers} to {layers - 1}, got {self.block}"
            )

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        return maps_in_batches(model, batch, lambda part: self._maps(model, part))

    def _maps(self, model: Classifier, batch: Batch) -> Maps:
        layers = attention_of(model, batch.images, lambda attention: attention.mean(1))
        return patches_read(model, layers[self.block], tuple(batch.images.shape[2:]))
