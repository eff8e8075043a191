"""Ranks: in which order pixels, or the segments of an image, are replaced."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Maps, Seeds, Segments
from xaibench.engine.digests import Numbers, sums_below
from xaibench.engine.masks import Digests, Masks
from xaibench.randomness import descending_order


def pixel_ranks(maps: Maps, seeds: Seeds, *, least_first: bool = False) -> Segments:
    """Return the rank of each pixel, 0 for the most relevant; ties in the image's random order.

    Args:
        least_first: the same order from its other end.
    """
    order = descending_order(maps.flatten(1), seeds)
    order = order.flip(1) if least_first else order
    steps = torch.arange(order.shape[1], device=maps.device, dtype=torch.int32).expand_as(order)
    return torch.empty_like(steps).scatter_(1, order, steps).view(maps.shape)


def segment_ranks(
    relevance: Float[Tensor, "batch segment"],
    segments: Segments,
    seeds: Seeds,
    *,
    least_first: bool = False,
) -> tuple[Segments, Int[Tensor, "batch segment"]]:
    """Return the rank of each pixel's segment, 0 for the most relevant, and the segments in order.

    Args:
        relevance: of each segment; NaN behind an image's own segments, which come last.
        least_first: the same order of an image's own segments from its other end.
    """
    order = descending_order(relevance.nan_to_num(nan=-torch.inf), seeds)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    if least_first:
        own = relevance.isfinite().sum(1, keepdim=True)
        order = order.gather(1, torch.where(places < own, own - 1 - places, places))
    rank_of = torch.empty_like(order).scatter_(1, order, places)
    return rank_of.gather(1, segments.flatten(1)).view_as(segments), order


def grid_segments(size: tuple[int, int], side: int, device: torch.device) -> Int[Tensor, "h w"]:
    """Return squares of ``side`` pixels as a label map, from the top left; cut at the border."""
    rows, columns = (torch.arange(length, device=device) // side for length in size)
    return rows[:, None] * -(-size[1] // side) + columns


@dataclass(frozen=True)
class BandMasks(Masks):
    """Pixels of a band of a ranking replaced: one group of pixels at a time.

    Attributes:
        ranks: rank of each pixel, 0 first.
        edges: mask m replaces ranks from ``edges[m]`` up to, but not including, ``edges[m + 1]``.
        counts: masks of each image.
    """

    ranks: Segments
    edges: Int[Tensor, " edge"]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        first, last = (self.edges[mask + k][:, None, None] for k in (0, 1))
        ranks = self.ranks[image]
        return (ranks >= first) & (ranks < last)

    def digests(self, numbers: Numbers) -> Digests:
        edges = self.edges.expand(len(self.counts), -1)
        return sums_below(self.ranks, edges, numbers).diff(dim=1)
