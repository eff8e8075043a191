"""Cumulative drop: superpixels hidden one more at a time, in both orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from xaibench.engine import Batch, Fill, Maps, PerImage, unmasked_score
from xaibench.engine.by_segment import segment_areas, segment_means
from xaibench.engine.curves import area_under, segment_curve
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class CumulativeDrop(MapMetric):
    """Area between the drops of most-important-first and least-important-first; higher is better.

    The run's superpixels are ranked by the mean relevance in each and hidden one more at a time:
    ``morf`` most important first, ``lerf`` least important first. y = score(x) - score(masked),
    against the fraction of segments hidden (``cumulative_drop``) and against the fraction of the
    area hidden (``cumulative_drop@area``). The value is the area under morf less that under lerf,
    by the trapezoid; 0 for a map that knows nothing. In [-1, 1] for probabilities.
    Cost: 2 (K - 1) passes an image and map, K its number of segments.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded", "rank": "segment_mean"}
    uses_segments: ClassVar[bool] = True

    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return ["cumulative_drop", "cumulative_drop@area"]

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * int(batch.segments.flatten(1).amax(1).sum()))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        means = segment_means(maps, batch.segments)
        counts = batch.segments.flatten(1).amax(1) + 1
        areas = segment_areas(batch.segments)
        whole = unmasked_score(model, batch, self.space)[:, None]
        curves = {}
        for name, least_first in {"morf": False, "lerf": True}.items():
            asked = {"fill": self.fill, "space": self.space, "least_first": least_first}
            masked, order = segment_curve(model, batch, means, **asked)
            steps = torch.arange(masked.shape[1], device=masked.device)
            own = steps <= counts[:, None]
            gone = F.pad(areas.gather(1, order).cumsum(1), (1, 0)) / maps[0].numel()
            x = {"": steps / counts[:, None], "@area": gone.float()}
            curves |= {
                f"{name}{by}": Curve(at.where(own, torch.nan), whole - masked)
                for by, at in x.items()
            }
        between = lambda by: _area(curves[f"morf{by}"]) - _area(curves[f"lerf{by}"])
        values = {"cumulative_drop": between(""), "cumulative_drop@area": between("@area")}
        return Scores(values, curves)


def _area(curve: Curve) -> PerImage:
    return area_under(curve.y, curve.x)
