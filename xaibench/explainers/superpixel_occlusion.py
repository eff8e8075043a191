"""Superpixel occlusion: how far the score falls where one segment is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    Pixels,
    SegmentMasks,
    block_scores,
    fill_images,
    segment_areas,
    segment_means,
    unmasked_score,
)
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class SuperpixelOcclusion(Explainer):
    """Drop of the target's score when each superpixel alone is hidden.

    The segments are the run's SLIC superpixels. ``measure``: ``drop`` is score(x) - score(x with
    the segment hidden); ``drop_per_area`` divides it by the segment's area in per cent of the
    image, so that large segments do not win by their size.
    Cost: one pass a segment.
    """

    measure: Literal["drop", "drop_per_area"] = "drop"
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(int((batch.segments.flatten(1).amax(1) + 1).sum()), 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        change = ((batch.images - fill_images(batch, self.fill)) * weights).sum(1)
        drops = segment_means(change, batch.segments) * segment_areas(batch.segments)
        return self._at_pixels(drops, batch)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        segments = batch.segments
        counts = segments.flatten(1).amax(1) + 1
        alone = torch.eye(int(counts.max()), dtype=torch.bool, device=model.device)
        masks = SegmentMasks(segments, alone.expand(len(batch), -1, -1), counts)
        hidden = block_scores(model, batch, masks, self.fill, self.space)
        drops = unmasked_score(model, batch, self.space)[:, None] - hidden
        return self._at_pixels(drops, batch)

    def _at_pixels(self, drops: Float[Tensor, "batch segment"], batch: Batch) -> Maps:
        segments = batch.segments
        if self.measure == "drop_per_area":
            drops = drops / (segment_areas(segments) / segments[0].numel() * 100)
        return drops.float().gather(1, segments.flatten(1)).view_as(segments)
