"""IROF: how fast the score falls, relative to the whole image's, as superpixels go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch.nn import functional as F

from xaibench.engine import Batch, Fill, Maps, segment_areas, segment_means
from xaibench.engine.curves import area_under, segment_curve
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Irof(MapMetric):
    """Area over the curve of the relative score as superpixels go; higher is better.

    The run's superpixels, ranked by the mean relevance in each (ties in the image's own random
    order), become the fill one more at a time. With F_l the probability of the target after l of L
    are gone, the value is 1 less the area under F_l / F_0, by the trapezoid over the fraction of
    segments (``irof``) and over the fraction of area (``irof@area``): superpixels differ in size.
    At most 1; below 0 where the score rises. Undefined where F_0 is below ``least``: a ratio to
    next to nothing is noise. Iterative removal of features.

    The paper's segments are SLIC's, its fill the mean. Quantus makes segments of its own, replaces
    them by one mean of all channels, leaves out l = 0, and does not divide by L, so that images
    with more segments score more; version 0.6 fails with numpy 2.4.
    Cost: L - 1 passes an image and map. Source: Rieger and Hansen 2020, "IROF: a low resource
    evaluation metric for explanation methods", section 3.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-torch.inf, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded", "rank": "segment_mean"}
    uses_segments: ClassVar[bool] = True

    fill: Fill = "dataset_mean"
    least: Annotated[float, Field(gt=0, lt=1)] = 1e-3

    def definition(self) -> dict[str, object]:
        return super().definition() | {"space": "prob"}

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return ["irof", "irof@area"]

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(int(batch.segments.flatten(1).amax(1).sum()))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        means = segment_means(maps, batch.segments)
        y, order = segment_curve(model, batch, means, fill=self.fill, space="prob")
        y = y / y[:, :1].where(y[:, :1] >= self.least, torch.nan)
        areas = segment_areas(batch.segments)
        counts = (areas > 0).sum(1, keepdim=True)
        steps = torch.arange(y.shape[1], device=y.device)
        gone = F.pad(areas.gather(1, order).cumsum(1), (1, 0))
        own = steps <= counts
        by = {"irof": steps / counts, "irof@area": (gone / maps[0].numel()).float()}
        curves = {name: Curve(x.where(own, torch.nan), y) for name, x in by.items()}
        values = {name: 1 - area_under(curve.y, curve.x) for name, curve in curves.items()}
        undefined = f"the score of the whole image is below {self.least:g}"
        return Scores(values, curves, dict.fromkeys(values, undefined))
