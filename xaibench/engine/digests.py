"""Digests of masks: equal masks of an image have equal ones, in whatever form they come.

Each pixel has a random 64-bit number of its own; a digest is the sum, modulo 2^64, of the numbers
of the pixels that are replaced. So it is added up from ranks, segments or corners of boxes, and no
mask is expanded. Of two different masks one in 2^64 pairs has one digest: among the million masks
of a large block that is one block in 40 million. Source: Zobrist 1970, "A new hashing method with
application for game playing", with sums in place of exclusive ors.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine.batch import Segments
from xaibench.randomness import MASKED_IMAGE, MASKED_PIXEL, random_bits

AT_ONCE = 2**22
"""Pixels of masks, or of rankings, that are added up at once: some 100 MB."""

Numbers = Int[Tensor, "height width"]
"""The number of each pixel, int64."""


def pixel_numbers(size: tuple[int, int], device: torch.device) -> Numbers:
    """Return each pixel's number, the same in every image of a size."""
    seed = torch.zeros(1, dtype=torch.int64, device=device)
    return random_bits(seed, size[0] * size[1], MASKED_PIXEL).view(size)


def image_numbers(count: int, device: torch.device) -> Int[Tensor, " image"]:
    """Return a number for each image of a block, which tells its masks from another one's."""
    seed = torch.zeros(1, dtype=torch.int64, device=device)
    return random_bits(seed, count, MASKED_IMAGE)[0]


def sums_below(
    ranks: Segments, thresholds: Int[Tensor, "batch mask"], numbers: Numbers
) -> Int[Tensor, "batch mask"]:
    """Return the sum of the numbers of the pixels whose rank is below each threshold."""
    pixels = numbers.numel()
    part = max(1, AT_ONCE // pixels)
    below = [
        F.pad(_sums_of_labels(its, numbers, pixels).cumsum(1), (1, 0)).gather(1, ends)
        for its, ends in zip(
            ranks.split(part), thresholds.long().clamp(0, pixels).split(part), strict=True
        )
    ]
    return torch.cat(below)


def sums_of_segments(
    segments: Segments, replaced: Bool[Tensor, "batch mask segment"], numbers: Numbers
) -> Int[Tensor, "batch mask"]:
    """Return the sum of the numbers of the pixels of the segments that each mask replaces."""
    part = max(1, AT_ONCE // max(numbers.numel(), replaced[0].numel()))
    sums = [
        _sums_of_labels(labels, numbers, its.shape[2])[:, None].where(its, 0).sum(2)
        for labels, its in zip(segments.split(part), replaced.split(part), strict=True)
    ]
    return torch.cat(sums)


def sums_of_one_segment(
    segments: Segments, labels: Int[Tensor, "batch mask"], numbers: Numbers
) -> Int[Tensor, "batch mask"]:
    """Return the sum of the numbers of the pixels of one segment a mask."""
    part = max(1, AT_ONCE // numbers.numel())
    sums = [
        _sums_of_labels(its, numbers, numbers.numel()).gather(1, own)
        for its, own in zip(segments.split(part), labels.long().split(part), strict=True)
    ]
    return torch.cat(sums)


def sums_of_boxes(boxes: Int[Tensor, "*mask 4"], numbers: Numbers) -> Int[Tensor, "*mask"]:
    """Return the sum of the numbers of the pixels in each box: top, bottom, left, right."""
    height, width = numbers.shape
    above = F.pad(numbers.cumsum(0).cumsum(1), (1, 0, 1, 0))
    top, bottom, left, right = boxes.long().unbind(-1)
    top, bottom = top.clamp(0, height), bottom.clamp(0, height)
    left, right = left.clamp(0, width), right.clamp(0, width)
    return above[bottom, right] - above[top, right] - above[bottom, left] + above[top, left]


def sums_of_masks(masks: Bool[Tensor, "mask height width"], numbers: Numbers) -> Int[Tensor, " n"]:
    """Return the sum of the numbers of the pixels that each expanded mask replaces."""
    return numbers.where(masks, 0).sum((1, 2))


def _sums_of_labels(labels: Segments, numbers: Numbers, count: int) -> Int[Tensor, "batch label"]:
    flat = labels.flatten(1).long()
    sums = numbers.new_zeros(len(flat), count)
    return sums.scatter_add_(1, flat, numbers.flatten().expand_as(flat))
