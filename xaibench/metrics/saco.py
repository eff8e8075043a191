"""SaCo: does a group of pixels with more salience also change the score more?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch.nn import functional as F

from xaibench.engine import (
    BandMasks,
    Batch,
    Fill,
    Maps,
    block_scores,
    pixel_ranks,
    step_counts,
)
from xaibench.errors import UserError
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Saco(MapMetric):
    """Agreement of salience and drop over pairs of groups of pixels; higher is better.

    Salience-guided faithfulness coefficient: the pixels in K groups of (nearly) equal size by
    falling salience, each group replaced by itself alone. For each pair i < j of groups with mean
    saliences s_i >= s_j and drops d_i, d_j: the weight s_i - s_j counts for the map where
    d_i >= d_j, against it where d_i < d_j; the value is the sum over the sum of all weights. In
    [-1, 1]; about 0 for a map that knows nothing. It sees how far saliences are apart, in any unit.
    Ties go in the image's own random order. Undefined where all groups have the same salience.

    The paper takes the sum of the salience in a group; of groups of equal size the mean gives the
    same. K = 10 and the image's mean as fill are the paper's.
    Cost: K passes an image and map. Source: Wu, Kang, Tang, Hong and Yan 2024, "On the faithfulness
    of vision transformer explanations", CVPR, algorithm 1.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded"}

    groups: Annotated[int, Field(ge=2)] = 10
    fill: Fill = "image_mean"
    space: Space = "prob"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range

    def check(self, size: tuple[int, int]) -> None:
        if size[0] * size[1] < self.groups:
            raise UserError(f"groups: images of {size[0]} x {size[1]} have no {self.groups} pixels")

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.groups * len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        edges = step_counts(self.groups, maps[0].numel(), maps.device)
        ranks = pixel_ranks(maps, batch.seeds)
        masks = BandMasks(ranks, edges, torch.full_like(batch.targets, self.groups))
        left = block_scores(model, batch, masks, self.fill, self.space)
        falling = maps.flatten(1).double().sort(1, descending=True).values
        sums = F.pad(falling.cumsum(1), (1, 0))[:, edges].diff(dim=1)
        salience = sums / edges.diff()
        first, second = torch.triu_indices(self.groups, self.groups, 1, device=maps.device)
        weights = salience[:, first] - salience[:, second]
        # A group changes more where less is left without it.
        agrees = torch.where(left[:, first] <= left[:, second], 1.0, -1.0)
        total = weights.sum(1)
        constant = total <= 1e-9 * salience.abs().amax(1)
        values = ((weights * agrees).sum(1) / total).where(~constant, torch.nan)
        undefined = "all groups have the same salience"
        return Scores({self.name: values}, undefined={self.name: undefined})
