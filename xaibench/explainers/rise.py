"""RISE: which pixels were kept where randomly masked copies of the image score high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt

from xaibench.engine import Batch, Fill, GridMasks, Maps, fill_images, soft_scores
from xaibench.engine.bounds import check_cells
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import MASK_CELLS, MASK_SHIFTS, random_uniform
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class Rise(Explainer):
    """Mean of random smooth masks, each weighted by the score of the image behind it.

    S(u) = 1 / (p N) sum_n score(x m_n + fill (1 - m_n)) m_n(u). Each of the N = ``masks`` masks
    is a grid of ``cells`` x ``cells``, each cell kept with probability p = ``keep``, upsampled
    bilinearly and shifted at random by up to one cell. Not negative for probabilities; larger
    where keeping the pixel comes with a high score. ``normalise``: ``expected`` divides by p N as
    the paper does; ``sum`` divides each pixel by the sum of its masks, which takes out how often
    it happened to be kept. Each image has masks of its own, drawn from its seed. The paper takes
    4,000 masks of 7 x 7 cells at p = 0.5 for VGG16, 8,000 for ResNet-50, and a fill of the
    data's mean (zero behind the normalisation); ours are 2,000, the rest as in the paper.
    Cost: ``masks`` passes. Source: Petsiuk, Das and Saenko 2018, "RISE: randomized input sampling
    for explanation of black-box models", equation 6.
    """

    masks: PositiveInt = 2000
    cells: PositiveInt = 7
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5
    normalise: Literal["expected", "sum"] = "expected"
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def check(self, model: Classifier) -> None:
        check_cells(self.cells, model.input_shape[1:])

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.masks * len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        masks = self.random_masks(batch)
        fills = fill_images(batch, self.fill)
        scores = soft_scores(model, batch.images, fills, batch.targets, masks, self.space)
        total = masks.weighted_sum(scores)
        if self.normalise == "expected":
            return total / (self.masks * self.keep)
        # A pixel that no mask keeps has no evidence: 0 of 0.
        return total / masks.weighted_sum(torch.ones_like(scores)).clamp_min(1e-12)

    def random_masks(self, batch: Batch) -> GridMasks:
        """Return each image's own masks."""
        height, width = batch.images.shape[2:]
        drawn = random_uniform(batch.seeds, self.masks * self.cells**2, MASK_CELLS)
        kept = (drawn < self.keep).view(len(batch), self.masks, self.cells, self.cells)
        # One cell's height and width, rounded up, as the grid is upsampled.
        cell = torch.tensor([-(-height // self.cells), -(-width // self.cells)])
        shifts = random_uniform(batch.seeds, self.masks * 2, MASK_SHIFTS).view(len(batch), -1, 2)
        shifts = (shifts * cell.to(shifts.device)).long()
        return GridMasks(kept, shifts, (height, width), torch.full_like(batch.targets, self.masks))
