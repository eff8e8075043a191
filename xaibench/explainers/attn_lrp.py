"""Layer-wise relevance propagation through attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from xaibench.engine import Batch, Maps, maps_in_batches, target_gradients
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.networks.relevance import check_attention, relevance_gradients
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class AttnLrp(Explainer):
    """LRP of a vision transformer's target logit, rule by rule down to the image, signed.

    Linear layers and additions by contribution (epsilon rule, epsilon 0), normalisations and
    activations hand relevance on as it is (identity rule), products of two activations share it
    equally (uniform rule), the softmax by its Taylor expansion. Summed over channels; the image
    counts as the network sees it, normalised. ``variant``: ``cp_lrp`` takes the attention for a
    constant instead. The gamma rule that the authors add for less noisy maps is left out.
    Cost: one forward and one backward pass. Source: Achtibat et al. 2024, "AttnLRP", equations 7
    and 9, proposition 3.1; Ali et al. 2022, "XAI for transformers", for ``cp_lrp``.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients", "attention")

    variant: Literal["attn_lrp", "cp_lrp"] = "attn_lrp"

    def check(self, model: Classifier) -> None:
        try:
            check_attention(model.net)
        except UserError as error:
            raise UserError(f"attn_lrp: {error}") from None

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        softmax = self.variant == "attn_lrp"
        with model.as_found(), relevance_gradients(model.net, through_softmax=softmax):
            return maps_in_batches(model, batch, lambda part: _maps(model, part))


def _maps(model: Classifier, part: Batch) -> Float[Tensor, "batch height width"]:
    gradient = target_gradients(model, part.images, part.targets, "logit")
    # The gradient at the normalised image is `std` times that at the image.
    return ((part.images - model.mean) * gradient).sum(1)
