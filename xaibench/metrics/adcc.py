"""ADCC: drop, coherency and complexity of a map in one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from xaibench.engine import Batch, Fill, Maps, PerImage, fill_images, unmasked_score
from xaibench.engine.shown import positive_part, shown_score
from xaibench.metrics.base import ComparisonMetric, Remake, Scores
from xaibench.models.base import Classifier
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Adcc(ComparisonMetric):
    """Harmonic mean of coherency, 1 - complexity and 1 - average drop; higher is better.

    With m the map's positive relevance over its largest value, and x m the image times m (what m
    leaves out is ``fill``):

    - ``@coherency``: (1 + r) / 2, r Pearson's correlation of m and of the same for the explainer's
      map of x m. Higher is better.
    - ``@complexity``: the mean of m, its L1 norm over the number of pixels. Lower is better.
    - ``@average_drop``: max(0, p(x) - p(x m)) / p(x), as the metric of that name. Lower is better.

    All in [0, 1]. ADCC = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop)), 0 where one
    of the three is. Undefined where a map has no positive relevance or is constant, or the score of
    the image is not positive.
    Cost: 1 pass and one more map an image. Source: Poppi et al. 2021, "Revisiting the evaluation
    of class activation mapping for explainability", the definition of ADCC.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "positive"}

    fill: Fill = "dataset_mean"

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        parts = ("coherency", "complexity", "average_drop")
        return [self.name, *(f"{self.name}@{part}" for part in parts)]

    def direction(self, value_name: str) -> bool:
        return not value_name.endswith(("@complexity", "@average_drop"))

    def compare(
        self,
        model: Classifier,
        others: Mapping[str, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        weights = positive_part(maps)
        said = weights.isfinite().flatten(1).all(1)
        # Of a map without weights nothing is undone: its explainer sees the image as it is.
        shown = torch.lerp(fill_images(batch, self.fill), batch.images, weights[:, None])
        shown = shown.where(said[:, None, None, None], batch.images)
        again = positive_part(remake(model, replace(batch, images=shown)))
        before = unmasked_score(model, batch, "prob").double()
        after = shown_score(model, batch, weights, self.fill).double()
        drop = ((before - after) / before).clamp_min(0).where((before > 0) & said, torch.nan)
        coherency = (1 + _correlation(weights, again)) / 2
        complexity = weights.double().mean((1, 2))
        parts = torch.stack([coherency, 1 - complexity, 1 - drop])
        names = self.value_names(())
        values = dict(
            zip(names, [3 / (1 / parts).sum(0), coherency, complexity, drop], strict=True)
        )
        why = "a map is constant or has no positive relevance, or the image's score is not positive"
        return Scores(values, undefined=dict.fromkeys(names, why))


def _correlation(one: Maps, other: Maps) -> PerImage:
    """Return Pearson's correlation of the pixels; NaN where one of the maps is constant."""
    a, b = (each.double().flatten(1) for each in (one, other))
    a, b = (each - each.mean(1, keepdim=True) for each in (a, b))
    constant = (one.flatten(1).std(1) == 0) | (other.flatten(1).std(1) == 0)
    found = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()
    return found.clamp(-1, 1).where(~constant, torch.nan)
