"""Superpixel occlusion: how far the score falls where one segment is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    SegmentMasks,
    fill_images,
    masked_scores,
    segment_areas,
    unmasked_score,
)
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
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

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        segments = batch.segments
        counts = segments.flatten(1).amax(1) + 1
        alone = torch.eye(int(counts.max()), dtype=torch.bool, device=model.device)
        masks = SegmentMasks(segments, alone.expand(len(batch), -1, -1), counts)
        fills = fill_images(batch, self.fill)
        hidden = masked_scores(model, batch.images, fills, batch.targets, masks, self.space)
        drops = unmasked_score(model, batch, self.space)[:, None] - hidden
        if self.measure == "drop_per_area":
            per_cent = segment_areas(segments) / segments[0].numel() * 100
            drops = (drops / per_cent).float()
        return drops.gather(1, segments.flatten(1)).view_as(segments)
