"""Cumulative drop: superpixels hidden one more at a time, in both orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    PerImage,
    RankMasks,
    fill_images,
    filled_score,
    masked_scores,
    segment_areas,
    segment_means,
    trapezoid,
    unmasked_score,
)
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier
from xaibench.randomness import descending_order
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

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        counts = batch.segments.flatten(1).amax(1) + 1
        means = segment_means(maps, batch.segments)
        # -inf puts the padding behind the image's own segments; least first reverses the real ones.
        order = descending_order(means.nan_to_num(nan=-torch.inf), batch.seeds)
        places = torch.arange(order.shape[1], device=order.device)
        reverse = torch.where(places < counts[:, None], counts[:, None] - 1 - places, places)
        curves = {}
        for name, segments in {"morf": order, "lerf": order.gather(1, reverse)}.items():
            y, area = self._drops(model, batch, segments, counts)
            x = torch.arange(y.shape[1], device=y.device) / counts[:, None]
            x = x.where(x <= 1, torch.nan)
            curves |= {name: Curve(x, y), f"{name}@area": Curve(area, y)}
        between = lambda suffix: (
            _area_under(curves[f"morf{suffix}"]) - _area_under(curves[f"lerf{suffix}"])
        )
        values = {"cumulative_drop": between(""), "cumulative_drop@area": between("@area")}
        return Scores(values, curves)

    def _drops(
        self,
        model: Classifier,
        batch: Batch,
        order: Int[Tensor, "batch segment"],
        counts: Int[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch step"], Float[Tensor, "batch step"]]:
        """Return the drop and the area hidden after 0, 1, ... K segments; NaN behind them."""
        place = torch.arange(order.shape[1], device=order.device)
        rank_of = torch.empty_like(order).scatter_(1, order, place.expand_as(order))
        ranks = rank_of.gather(1, batch.segments.flatten(1)).view_as(batch.segments)
        masks = RankMasks(ranks, (place + 1).expand_as(order), counts - 1)
        fills = fill_images(batch, self.fill)
        whole = unmasked_score(model, batch, self.space)
        nothing = filled_score(model, batch, self.fill, self.space)
        steps = torch.arange(order.shape[1] + 1, device=order.device)
        masked = whole.new_full((len(batch), len(steps)), torch.nan)
        inner = masked_scores(model, batch.images, fills, batch.targets, masks, self.space)
        masked[:, 1 : 1 + inner.shape[1]] = inner
        masked[:, 0] = whole
        masked.scatter_(1, counts[:, None], nothing[:, None])
        areas = segment_areas(batch.segments).gather(1, order).cumsum(1)
        areas = torch.cat([torch.zeros_like(areas[:, :1]), areas], dim=1) / ranks[0].numel()
        own = steps <= counts[:, None]
        return whole[:, None] - masked, areas.float().where(own, torch.nan)


def _area_under(curve: Curve) -> PerImage:
    # Behind its last point a curve is padded with that point: strips of no width.
    last = curve.x.isfinite().sum(1, keepdim=True) - 1
    at = torch.arange(curve.x.shape[1], device=curve.x.device).minimum(last)
    return trapezoid(curve.y.gather(1, at), curve.x.gather(1, at))
