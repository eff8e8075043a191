"""Masks in compact forms, expanded on the device for the batch in hand only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Segments
from xaibench.engine.digests import (
    AT_ONCE,
    Numbers,
    sums_below,
    sums_of_boxes,
    sums_of_masks,
    sums_of_one_segment,
    sums_of_segments,
)

Digests = Int[Tensor, "batch mask"]


def pairs_of(
    counts: Int[Tensor, " batch"],
) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Return image and mask of each pair, by image; where the counts are, on the CPU as a rule."""
    most = torch.arange(int(counts.max()), device=counts.device)
    return (most < counts[:, None]).nonzero(as_tuple=True)


class Masks(ABC):
    """Compact masks: ``counts[i]`` masks for image i; True means that the pixel is replaced."""

    counts: Int[Tensor, " batch"]

    @abstractmethod
    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        """Return the masks number ``mask`` of the images number ``image``.

        Pairs are in order: by image, and by mask within one. ``masked_scores`` asks for all of
        them, without a gap; ``block_scores`` leaves out those whose scores are known.
        """

    def digests(self, numbers: Numbers) -> Digests:
        """Return the sum of the numbers of the pixels that each mask replaces, modulo 2^64.

        Behind an image's own number of masks it is any number. A form that can add it up without
        being expanded overrides this, which waits for the device once.
        """
        counts = self.counts.cpu()
        found = numbers.new_zeros(len(counts), int(counts.max()))
        image, mask = (at.to(numbers.device) for at in pairs_of(counts))
        part = max(1, AT_ONCE // numbers.numel())
        for pair in zip(image.split(part), mask.split(part), strict=True):
            found[pair] = sums_of_masks(self.expand(*pair), numbers)
        return found


class SoftMasks(ABC):
    """Compact masks of weights: ``counts[i]`` masks for image i; 1 keeps a pixel, 0 replaces it."""

    counts: Int[Tensor, " batch"]

    @abstractmethod
    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Float[Tensor, "pair height width"]:
        """Return the masks number ``mask`` of the images number ``image``."""


@dataclass(frozen=True)
class SegmentMasks(Masks):
    """Whole segments replaced: superpixel occlusion, LIME.

    Attributes:
        segments: label map of each image, labels 0..K-1.
        replaced: which segments each mask replaces.
        counts: masks of each image; rows behind it are padding.
    """

    segments: Segments
    replaced: Bool[Tensor, "batch mask segment"]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        labels = self.segments[image]
        return self.replaced[image, mask].gather(1, labels.flatten(1)).view_as(labels)

    def digests(self, numbers: Numbers) -> Digests:
        return sums_of_segments(self.segments, self.replaced, numbers)


@dataclass(frozen=True)
class OneSegmentMasks(Masks):
    """One segment replaced by each mask: hierarchical perturbation.

    Attributes:
        segments: label map of each image.
        labels: the segment that each mask replaces.
        counts: masks of each image; labels behind it are padding.
    """

    segments: Segments
    labels: Int[Tensor, "batch mask"]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        return self.segments[image] == self.labels[image, mask][:, None, None]

    def digests(self, numbers: Numbers) -> Digests:
        return sums_of_one_segment(self.segments, self.labels, numbers)


@dataclass(frozen=True)
class RankMasks(Masks):
    """The first pixels of a ranking replaced: deletion, insertion, cumulative drop.

    Attributes:
        ranks: rank of each pixel (or of its segment), 0 first.
        thresholds: mask m replaces ranks below ``thresholds[i, m]``, or all others if ``keep``.
        counts: masks of each image; thresholds behind it are padding.
    """

    ranks: Segments
    thresholds: Int[Tensor, "batch mask"]
    counts: Int[Tensor, " batch"]
    keep: bool = False

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        last = self.thresholds[image, mask].to(self.ranks.dtype)
        first = self.ranks[image] < last[:, None, None]
        return ~first if self.keep else first

    def digests(self, numbers: Numbers) -> Digests:
        first = sums_below(self.ranks, self.thresholds, numbers)
        return numbers.sum() - first if self.keep else first


@dataclass(frozen=True)
class BoxMasks(Masks):
    """The same boxes replaced in every image: square occlusion.

    Attributes:
        boxes: top, bottom, left, right in pixels, the ends exclusive.
        size: height and width of the images.
    """

    boxes: Int[Tensor, "mask 4"]
    size: tuple[int, int]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        top, bottom, left, right = self.boxes[mask].T[:, :, None]
        y = torch.arange(self.size[0], device=mask.device)
        x = torch.arange(self.size[1], device=mask.device)
        rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
        return rows[:, :, None] & columns[:, None, :]

    def digests(self, numbers: Numbers) -> Digests:
        return sums_of_boxes(self.boxes, numbers).expand(len(self.counts), -1)


@dataclass(frozen=True)
class SharedMasks(Masks):
    """A few masks of any shape, the same for every image: occlusion probes.

    Attributes:
        pixels: what each mask replaces.
    """

    pixels: Bool[Tensor, "mask height width"]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        return self.pixels[mask]

    def digests(self, numbers: Numbers) -> Digests:
        return sums_of_masks(self.pixels, numbers).expand(len(self.counts), -1)
