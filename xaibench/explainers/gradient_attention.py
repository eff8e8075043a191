"""Gradient times attention, carried through the layers: Chefer's relevance of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xaibench.engine import Batch, Maps, maps_in_batches
from xaibench.engine.attention import attention_and_gradient, check_attention, patches_read
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class GradientAttention(Explainer):
    """Relevance of tokens for the target: R = I, then R += mean_h(relu(dy/dA * A)) R by layer.

    A is a layer's attention and y the target's logit; the mean is over heads. The map is the
    class token's row of R - I at the patches, upsampled bilinearly; for a model that reads the
    mean of its patches the mean of their rows (the paper has a class token, where I adds nothing
    at a patch). Not negative.
    Cost: one forward and one backward pass. Source: Chefer et al. 2021, "Generic
    attention-model explainability for interpreting bi-modal and encoder-decoder transformers",
    equations 5 and 6.
    """

    needs = ("attention", "gradients")

    def check(self, model: Classifier) -> None:
        check_attention(model)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        with model.as_found():
            model.requires_grad_(False)  # the gradient is wanted at the attention alone
            return maps_in_batches(model, batch, lambda part: self._maps(model, part))

    def _maps(self, model: Classifier, batch: Batch) -> Maps:
        layers = attention_and_gradient(model, batch.images, batch.targets)
        relevance = same = torch.eye(layers[0][0].shape[-1], device=model.device)
        for attention, gradient in layers:
            relevance = relevance + (gradient * attention).relu().mean(1) @ relevance
        return patches_read(model, relevance - same, tuple(batch.images.shape[2:]))
