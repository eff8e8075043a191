"""KernelSHAP: Shapley values of the superpixels, by weighted least squares over coalitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from xaibench.engine import (
    Batch,
    Coalitions,
    Fill,
    Maps,
    Pixels,
    SegmentMasks,
    Segments,
    block_scores,
    coalition_counts,
    coalitions,
    fill_images,
    filled_score,
    segment_sums,
    shapley_values,
    unmasked_score,
)
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space

_AT_ONCE = 16


@register("explainer")
@dataclass(frozen=True)
class KernelShap(Explainer):
    """Shapley value of each superpixel, signed: what it adds to the score, averaged over orders.

    v(S) is the score with the segments outside S replaced by the fill. The values minimise
    sum_S k(S) (v(S) - v({}) - sum_{i in S} phi_i)^2, k(S) = (M - 1) / (C(M, z) z (M - z)) for z of
    M segments, under the exact constraint sum_i phi_i = v(all) - v({}). Where 2^M - 2 is at most
    ``samples``, every coalition is asked and the values are exact; else ``samples`` are drawn from
    the kernel, with ``paired`` each beside its complement, which halves the noise's source. Where
    they leave a value open, it is the equal share. captum draws 50 by default, without pairs, and
    weighs both ends by 10^6 instead of the constraint; the shap package draws 2 M + 2048 in pairs.
    A pixel has its segment's value.
    Cost: at most ``samples`` passes. Source: Lundberg and Lee 2017, "A unified approach to
    interpreting model predictions", theorem 2; pairs: Covert and Lee 2021, "Improving KernelSHAP".
    """

    samples: Annotated[int, Field(ge=2)] = 1000
    paired: bool = True
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def validate(self) -> None:
        if self.paired and self.samples % 2:
            raise UserError(
                f"kernel_shap: {self.samples} samples are no whole number of pairs; make `samples` "
                "even, or set `paired: false`"
            )

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        numbers = _numbers(batch.segments)
        return PassCount(int(coalition_counts(numbers, self.samples).sum()))

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps | None:
        if int(_numbers(batch.segments).max()) > self.samples // 4:
            return None  # so few samples may leave values open
        drops = (weights * (batch.images - fill_images(batch, self.fill))).sum(1)
        sums = segment_sums(drops, batch.segments)
        return _painted(sums, batch.segments)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        numbers = _numbers(batch.segments)
        asked = self.coalitions(batch)
        masks = SegmentMasks(batch.segments, ~asked.kept, asked.counts)
        scores = block_scores(model, batch, masks, self.fill, self.space)
        nothing = filled_score(model, batch, self.fill, self.space)
        everything = unmasked_score(model, batch, self.space) - nothing
        # What is behind an image's own coalitions is no score, and has no weight.
        gains = torch.where(asked.weights > 0, scores - nothing[:, None], 0)
        # Some images at a time: in double precision, samples of a large block fill a GPU.
        parts = zip(
            *(t.split(_AT_ONCE) for t in (asked.kept, asked.weights, gains, everything, numbers)),
            strict=True,
        )
        return _painted(torch.cat([shapley_values(*part) for part in parts]), batch.segments)

    def coalitions(self, batch: Batch) -> Coalitions:
        """Return which segments each masked copy of each image keeps."""
        return coalitions(batch.seeds, _numbers(batch.segments), self.samples, self.paired)


def _numbers(segments: Segments) -> Int[Tensor, " image"]:
    return segments.flatten(1).amax(1) + 1


def _painted(values: Float[Tensor, "image segment"], segments: Segments) -> Maps:
    return values.float().gather(1, segments.flatten(1)).view(segments.shape)
