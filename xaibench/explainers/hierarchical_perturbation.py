"""Hierarchical perturbation: cells are divided where hiding them lowers the score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import PositiveInt
from torch import Tensor

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    OneSegmentMasks,
    block_scores,
    segment_mean_images,
    unmasked_score,
)
from xaibench.engine.bounds import check_square
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
from xaibench.registry import register
from xaibench.types import Space

Blocks = Int[Tensor, "phase height width"]
"""Which block each pixel is in, in each of four maps that together hold all blocks."""

_PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))


@register("explainer")
@dataclass(frozen=True)
class HierarchicalPerturbation(Explainer):
    """Drop of the score behind hidden blocks, summed over grids that are refined where it falls.

    A level lays n x n cells over the image and hides blocks of 2 x 2 of them, one cell apart, cut
    at the border. relu(score(x) - score(x with the block hidden)) is added to the block's pixels.
    The next level has twice as many cells a side, and hides only blocks in which the relevance so
    far reaches the middle of the image's range, (min + max) / 2. The first level has
    n = 2 floor(ceil(log2(side)) / 2) cells, side the shorter one (8 for 224 pixels); the last the
    most whose side is at least ``finest`` pixels. Not negative; larger = hiding it hurts more.
    ``fill``: what stands behind a block; ``block_mean``, the block's own mean colour, is the
    paper's. Its code also scales the map to [0, 1], which is left out, and goes on through all
    levels with an image that no block has changed, which ends here.
    Cost: known afterwards only, for it depends on what is found: (n + 1)^2 passes at the first
    level, fewer at each finer one than all of its blocks. Source: Cooper, Arandjelovic and
    Harrison 2021, "Believe the HiPe: hierarchical perturbation for fast, robust and
    model-agnostic saliency mapping", section 3.
    """

    finest: PositiveInt = 2
    fill: Fill | Literal["block_mean"] = "block_mean"
    space: Space = "prob"

    def check(self, model: Classifier) -> None:
        check_square("finest", self.finest, model.input_shape[1:])

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        size = tuple(batch.images.shape[2:])
        relevance = batch.images.new_zeros(len(batch), *size)
        for level, cells in enumerate(self._levels(min(size))):
            blocks = _blocks(size, cells, model.device)
            chosen = _worth_hiding(relevance, blocks, everywhere=level == 0)
            if not chosen.any():
                break
            relevance = relevance + self._drops(model, batch, blocks, chosen)
        return relevance

    def _levels(self, side: int) -> list[int]:
        """Return the cells a side of each level, the coarsest first; at least one level."""
        cells = [max(2, 2 * (math.ceil(math.log2(max(side, 2))) // 2))]
        while 2 * cells[-1] * self.finest <= side:
            cells.append(2 * cells[-1])
        return cells

    def _drops(
        self,
        model: Classifier,
        batch: Batch,
        blocks: Blocks,
        chosen: Bool[Tensor, "image phase block"],
    ) -> Maps:
        """Return what hiding each chosen block does, summed at each pixel over its blocks."""
        phases = len(blocks)
        labels = blocks.repeat(len(batch), 1, 1)
        images = batch.take([i for i in range(len(batch)) for _ in range(phases)])
        asked = chosen.flatten(0, 1)
        # The chosen blocks' numbers first, in their order.
        numbers = asked.int().argsort(dim=1, descending=True, stable=True)
        masks = OneSegmentMasks(labels, numbers, asked.sum(1))
        # A hidden block's mean is told by the block: whatever the map of blocks, it is one fill.
        fills = segment_mean_images(images.images, labels) if self.fill == "block_mean" else None
        scores = block_scores(model, images, masks, self.fill, self.space, fills=fills)
        whole = unmasked_score(model, images, self.space)
        drops = (whole[:, None] - scores).relu()
        real = torch.arange(drops.shape[1], device=drops.device) < masks.counts[:, None]
        drops = drops.where(real, 0)
        by_block = torch.zeros_like(asked, dtype=drops.dtype)
        by_block.scatter_(1, numbers[:, : drops.shape[1]], drops)
        painted = by_block.gather(1, labels.flatten(1))
        return painted.view(len(batch), phases, *labels.shape[1:]).sum(1)


def _blocks(size: tuple[int, int], cells: int, device: torch.device) -> Blocks:
    """Return four label maps that hold all blocks: those of one map do not overlap."""
    at = [torch.arange(side, device=device) * cells // side for side in size]
    across = cells // 2 + 1
    return torch.stack(
        [((at[0] + down) // 2)[:, None] * across + (at[1] + right) // 2 for down, right in _PHASES]
    )


def _most(relevance: Maps, blocks: Blocks) -> Float[Tensor, "image phase block"]:
    """Return the largest relevance in each block; -1 where there is no such block."""
    labels = blocks.flatten(1).expand(len(relevance), -1, -1)
    values = relevance.flatten(1)[:, None].expand(labels.shape)
    most = relevance.new_full((*labels.shape[:2], int(blocks.max()) + 1), -1)
    return most.scatter_reduce(2, labels, values, "amax")


def _worth_hiding(
    relevance: Maps, blocks: Blocks, *, everywhere: bool
) -> Bool[Tensor, "image phase block"]:
    low, high = relevance.amin((1, 2)), relevance.amax((1, 2))
    enough = _most(relevance, blocks) >= (low + (high - low) / 2)[:, None, None]
    return enough if everywhere else enough & (high > low)[:, None, None]
