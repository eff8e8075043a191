"""Random subsets of pixels: the score without them beside the relevance that they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Batch, Maps, Seeds
from xaibench.engine.correlation import pearson
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.masks import Masks
from xaibench.engine.scores import masked_scores
from xaibench.engine.shared import shared_scores
from xaibench.models.base import Classifier
from xaibench.randomness import SUBSETS, copy_seeds, random_bits
from xaibench.types import Space

_AT_ONCE = 2**24
"""Pixels of all draws and maps that are gathered at once."""


@dataclass(frozen=True)
class RandomSubsets:
    """Subsets of an image's pixels, all channels together, drawn without replacement.

    Each draw is an order of the pixels; its subset of n pixels are the first n. An image has the
    same subsets whatever the map, so that the passes without them are shared by all explainers.

    Attributes:
        sizes: numbers of pixels.
        draws: subsets of each size.
    """

    sizes: tuple[int, ...]
    draws: int

    def scores(
        self, model: Classifier, batch: Batch, fill: Fill, space: Space
    ) -> Float[Tensor, "batch draw size"]:
        """Return the score without each subset; draws x sizes passes an image, shared."""

        def scores_of(whole: Batch) -> Tensor:
            sizes = torch.tensor(self.sizes, device=whole.images.device)
            counts = torch.full_like(whole.targets, self.draws * len(sizes))
            size = tuple(whole.images.shape[2:])
            masks = SubsetMasks(whole.seeds, sizes, size, counts, self.draws)
            fills = fill_images(whole, fill)
            scores = masked_scores(model, whole.images, fills, whole.targets, masks, space)
            return scores.view(len(whole), self.draws, len(sizes))

        key = f"subsets={self.sizes}x{self.draws},fill={fill},space={space}"
        return shared_scores(model, batch, key, scores_of)

    def sums(self, batch: Batch, maps: Maps) -> Float[Tensor, "batch draw size"]:
        """Return the relevance in each subset, in float64."""
        last = torch.tensor(self.sizes, device=maps.device) - 1

        def held(seeds: Seeds, rows: Int[Tensor, " row"], draws: Tensor) -> Tensor:
            at = random_orders(seeds, draws, maps[0].numel())[rows]
            values = maps.flatten(1).double()[:, None].expand(-1, len(draws), -1)
            return values.gather(2, at).cumsum(2)[..., last]

        return over_draws(batch, self.draws, maps[0].numel(), held)

    def correlations(
        self, model: Classifier, batch: Batch, maps: Maps, fill: Fill, space: Space
    ) -> Float[Tensor, "batch size"]:
        """Return Pearson's correlation over draws of relevance and drop, for each size.

        NaN where one of the two is constant (``correlation.pearson``).
        """
        sums, scores = self.sums(batch, maps), self.scores(model, batch, fill, space)
        # Of the score's negative instead of the drop: they differ by a constant alone.
        both = (x.transpose(1, 2).flatten(0, 1) for x in (sums, -scores))
        return pearson(*both).view(len(batch), len(self.sizes))


def over_draws(
    batch: Batch,
    draws: int,
    pixels: int,
    work: Callable[[Seeds, Int[Tensor, " row"], Int[Tensor, " draw"]], Tensor],
) -> Float[Tensor, "batch draw *value"]:
    """Return what ``work`` makes of a batch's maps and of some draws at once, for all draws.

    Args:
        pixels: that ``work`` holds at once, of each map and draw.
        work: called with the seeds of the different images in the batch, for each map which of
            them is its image, and the numbers of the draws.
    """
    whole, at = batch.whole()
    images, rows = at.unique(return_inverse=True)
    part = max(1, _AT_ONCE // (len(batch) * pixels))
    numbers = torch.arange(draws, device=at.device).split(part)
    return torch.cat([work(whole.seeds[images], rows, some) for some in numbers], dim=1)


def random_orders(
    seeds: Seeds, draws: Int[Tensor, " draw"], pixels: int
) -> Int[Tensor, "batch draw pixel"]:
    """Return a random order of the pixels for each image and draw."""
    pair = copy_seeds(seeds.repeat_interleave(len(draws)), draws.repeat(len(seeds)))
    order = random_bits(pair, pixels, SUBSETS).argsort(dim=1)
    return order.view(len(seeds), len(draws), pixels)


@dataclass(frozen=True)
class SubsetMasks(Masks):
    """Random subsets of pixels replaced, of every size for each draw.

    Attributes:
        seeds: one an image.
        sizes: mask m has ``sizes[m % n]`` of the pixels of draw m // n, n the number of sizes.
        size: height and width of the images.
        counts: masks of each image.
        draws: of each image.
    """

    seeds: Seeds
    sizes: Int[Tensor, " size"]
    size: tuple[int, int]
    counts: Int[Tensor, " batch"]
    draws: int

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        sizes = len(self.sizes)
        draw = image * self.draws + mask // sizes
        # Masks of one draw follow each other, and its order is made once. How many draws there are
        # is not asked of the device, which would have to be waited for: perhaps one too many.
        drawn = draw[:1] + torch.arange((len(draw) - 2) // sizes + 2, device=draw.device)
        drawn = drawn.clamp(max=len(self.seeds) * self.draws - 1)
        seeds = copy_seeds(self.seeds[drawn // self.draws], drawn % self.draws)
        order = random_bits(seeds, self.size[0] * self.size[1], SUBSETS).argsort(dim=1)
        places = torch.arange(order.shape[1], device=order.device).expand_as(order)
        ranks = torch.empty_like(order).scatter_(1, order, places)
        chosen = ranks[draw - draw[:1]] < self.sizes[mask % sizes][:, None]
        return chosen.view(-1, *self.size)
