"""LIME: the lime package's sampling, kernel and regression on our batched passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    SegmentMasks,
    block_scores,
    segment_mean_images,
)
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.segmentation.base import Segmentation
from xaibench.segmentation.quickshift import Quickshift
from xaibench.types import Space

_AT_ONCE = 16


@register("explainer")
@dataclass(frozen=True)
class Lime(Explainer):
    """Coefficients of a ridge regression of the score on which segments are kept, signed.

    As in the lime package: each segment is kept with probability 1/2 in each of ``samples``
    copies (the first keeps all); copies are weighted by sqrt(exp(-d^2 / kernel_width^2)), d the
    cosine distance from the whole image; ridge with alpha 1. ``segmentation``: ``quickshift``
    with the package's own parameters, or ``slic``, the run's superpixels. ``hide``: what stands
    behind a hidden segment; ``segment_mean`` is the package's default. ``positive_only`` and
    ``num_features`` keep the positive, the largest coefficients; the rest of the map is 0.
    Cost: ``samples`` passes. Source: Ribeiro et al. 2016, "Why should I trust you?".
    """

    samples: Annotated[int, Field(ge=2)] = 1000
    segmentation: Literal["quickshift", "slic"] = "quickshift"
    hide: Fill | Literal["segment_mean"] = "segment_mean"
    positive_only: bool = False
    num_features: PositiveInt | None = None
    kernel_width: PositiveFloat = 0.25
    space: Space = "prob"

    def own_segmentation(self) -> Segmentation | None:
        return Quickshift() if self.segmentation == "quickshift" else None

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.samples * len(batch), 0)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        own = self.own_segmentation()
        segments = batch.segmenter.labels(batch.images, batch.seeds, own) if own else batch.segments
        numbers = segments.flatten(1).amax(1) + 1
        kept = self._sample(batch.seeds.tolist(), numbers.tolist()).to(segments.device)
        masks = SegmentMasks(segments, ~kept, torch.full_like(batch.targets, self.samples))
        fill, fills = self.hide, None
        if fill == "segment_mean":
            fill, fills = f"{fill} of {own}", segment_mean_images(batch.images, segments)
        scores = block_scores(model, batch, masks, fill, self.space, fills=fills)
        # Some images at a time: in double precision, samples of a large block fill a GPU.
        parts = zip(*(t.split(_AT_ONCE) for t in (kept, scores, numbers)), strict=True)
        weights = torch.cat([ridge_coefficients(*part, self.kernel_width) for part in parts])
        weights = self._selected(weights)
        # One image without a score must not pass for one without evidence.
        weights = weights.masked_fill(~scores.isfinite().all(1, keepdim=True), torch.nan)
        return weights.float().gather(1, segments.flatten(1)).view(segments.shape)

    def _sample(self, seeds: list[int], numbers: list[int]) -> Bool[Tensor, "image sample segment"]:
        """Return which segments each copy keeps; False behind an image's own segments."""
        kept = np.zeros((len(seeds), self.samples, max(numbers)), bool)
        for rows, seed, number in zip(kept, seeds, numbers, strict=True):
            drawn = np.random.RandomState(seed % 2**32).randint(0, 2, self.samples * number)
            rows[:, :number] = drawn.reshape(self.samples, number)
            rows[0, :number] = True
        return torch.from_numpy(kept)

    def _selected(self, weights: Float[Tensor, "image segment"]) -> Float[Tensor, "image segment"]:
        """Return the coefficients with those of the segments that are left out at 0.

        As in the package's `get_image_and_mask`; of equal sizes the lower number goes first.
        """
        if self.positive_only:
            weights = weights.clamp(min=0)
        if self.num_features is None:
            return weights
        ranked = weights.abs().argsort(dim=1, descending=True, stable=True)
        return weights.scatter(1, ranked[:, self.num_features :], 0)


def ridge_coefficients(
    kept: Bool[Tensor, "image sample segment"],
    scores: Float[Tensor, "image sample"],
    numbers: Int[Tensor, " image"],
    kernel_width: float,
) -> Float[Tensor, "image segment"]:
    """Return the coefficients of the package's `LimeBase` for all images at once, in float64.

    b = (X' W X + I)^-1 X' W y, X and y less their weighted means; w = sqrt(exp(-d^2 / width^2))
    with d = 1 - sqrt(n / K), the cosine distance of a copy that keeps n of K segments from the
    whole image. Not a number for an image with a score that is none.

    Args:
        kept: False behind an image's own segments, whose coefficients are 0.
        numbers: each image's own number of segments.
    """
    x, y = kept.double(), scores.double()
    distance = 1 - (x.sum(2) / numbers[:, None]).sqrt()
    weight = torch.exp(-(distance**2) / kernel_width**2).sqrt()[:, :, None]
    total = weight.sum(1, keepdim=True)
    # From the first score on, so that equal scores give exact zeros.
    y = (y - y[:, :1])[:, :, None]
    x = x - (weight * x).sum(1, keepdim=True) / total
    y = y - (weight * y).sum(1, keepdim=True) / total
    weighted = (weight * x).mT
    # A column of nothing has 0 beside its 1 on the diagonal, and so the coefficient 0.
    ridge = torch.eye(x.shape[2], dtype=x.dtype, device=x.device)
    return torch.linalg.solve(weighted @ x + ridge, weighted @ y)[:, :, 0]
