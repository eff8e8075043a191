"""IoU of the most relevant pixels with the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from xaibench.engine import Evidence, Maps, PerImage, Seeds
from xaibench.metrics.base import LocalisationMetric
from xaibench.randomness import descending_order
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class IouTop(LocalisationMetric):
    """Intersection over union of the mask and the top pixels of the map; higher is better.

    The top pixels are exactly as many as the mask has (so that 1 can be reached), or the
    fraction ``top`` of the image, rounded. Ties go in the image's own random order. Undefined where
    the mask is empty. No passes. With the mask's own size it is a monotone function of the
    relevance rank accuracy of Arras et al. 2022, equation 3.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded"}

    top: Annotated[float, Field(gt=0, le=1)] | Literal["mask_area"] = "mask_area"

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        order = descending_order(maps.flatten(1), seeds)
        pixels = order.shape[1]
        area = mask.flatten(1).sum(1, keepdim=True)
        top = area
        if self.top != "mask_area":
            top = torch.full_like(area, int(self.top * pixels + 0.5))
        chosen = torch.arange(pixels, device=maps.device) < top
        common = (mask.flatten(1).gather(1, order) & chosen).sum(1, keepdim=True)
        return (common.double() / (area + top - common))[:, 0]
