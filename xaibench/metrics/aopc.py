"""AOPC: how far the score falls, on average, as the most relevant regions become noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt

from xaibench.engine import Batch, Fill, Maps, region_curve
from xaibench.engine.bounds import check_square
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Aopc(MapMetric):
    """Mean drop over 0..L of the most relevant regions replaced by noise; higher is better.

    1 / (L + 1) sum over k = 0..L of score(x) - score(x without its k most relevant regions): the
    area over the perturbation curve. Regions are squares of ``region`` pixels from the top left,
    cut at the border, ranked by the sum of their relevance, ties in the image's own random order;
    L = ``steps``, or all of them where there are fewer. The fill is noise, uniform on [0, 1) in
    every pixel and channel, the image's own and the same for every map. In [-1, 1] for
    probabilities. Not comparable between models: how far a score can fall is the model's.

    Defaults are the paper's: regions of 9 x 9, L = 100, uniform noise (of 224 x 224 pixels 100 are
    a sixth of all; of 96 x 96 nearly all). Quantus' ``RegionPerturbation`` has regions of 8, black,
    leaves out k = 0, and gives the drops themselves.
    Cost: L passes an image and map, L - 1 where all regions go. Source: Samek et al. 2017,
    "Evaluating the visualization of what a deep neural network has learned", equation 12.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded", "rank": "region_sum"}

    region: PositiveInt = 9
    steps: PositiveInt = 100
    fill: Fill = "uniform"
    space: Space = "prob"

    def check(self, size: tuple[int, int]) -> None:
        check_square("region", self.region, size)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        regions = self._regions(batch)
        return PassCount(min(self.steps, regions - 1) * len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        regions = self._regions(batch)
        counts = torch.arange(min(self.steps, regions) + 1, device=maps.device)
        asked = {"side": self.region, "fill": self.fill, "space": self.space}
        y = region_curve(model, batch, maps, counts, **asked).double()
        drops = y[:, :1] - y
        curve = Curve((counts / regions).expand_as(y), drops)
        return Scores({self.name: drops.mean(1)}, {self.name: curve})

    def _regions(self, batch: Batch) -> int:
        height, width = batch.images.shape[2:]
        return -(-height // self.region) * -(-width // self.region)
