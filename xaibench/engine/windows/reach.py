"""Which part of a feature map a window of the image reaches, layer after layer.

A pixel of a map can only change with the image's pixels in its receptive field. Seen forwards: a
window reaches a rectangle of every map, which convolutions and pools widen and strides shrink.
The arithmetic is that of receptive fields (Dumoulin and Visin 2016, "A guide to convolution
arithmetic for deep learning"), one side of the map at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Slide:
    """A kernel that slides along one side of a map.

    Attributes:
        kernel: pixels read by one output.
        stride: from one output's first pixel to the next one's.
        dilation: from one pixel read to the next.
        before: padding before the first pixel of the map.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def extent(self) -> int:
        """Pixels from the first that one output reads to the last, both counted."""
        return self.dilation * (self.kernel - 1) + 1

    def needed(self, outputs: int) -> int:
        """Return from how many pixels in a row so many neighbouring outputs are made."""
        return (outputs - 1) * self.stride + self.extent


@dataclass(frozen=True)
class Span:
    """What each window reaches along one side of a map, at least one pixel.

    Attributes:
        first, last: pixels of the map, both reached.
        size: pixels of that side of the map.
    """

    first: Int[Tensor, " mask"]
    last: Int[Tensor, " mask"]
    size: int

    @staticmethod
    def of_window(start: Int[Tensor, " mask"], end: Int[Tensor, " mask"], size: int) -> Span:
        """Return the part of windows (the ends exclusive) inside an image; one pixel if none."""
        first = start.clamp(0, size - 1)
        return Span(first, (end - 1).clamp(max=size - 1).maximum(first), size)

    @cached_property
    def length(self) -> int:
        """The longest reach: the side of patches that hold any window's."""
        return int((self.last - self.first).max()) + 1

    @cached_property
    def start(self) -> Int[Tensor, " mask"]:
        """Where a patch of ``length`` pixels starts to hold a window's reach, inside the map."""
        return self.first.clamp(max=self.size - self.length)

    def through(self, slide: Slide, size: int) -> Span:
        """Return what is reached of the ``size`` outputs of a kernel.

        Output o reads the pixels o stride - before + (0, 1, ..., kernel - 1) dilation.
        """
        first = -((slide.extent - 1 - self.first - slide.before) // slide.stride)
        last = (self.last + slide.before) // slide.stride
        # Where a stride steps over the whole reach, no output changes: any one may stand for it.
        first = first.clamp(0, size - 1)
        return Span(first, last.clamp(max=size - 1).maximum(first), size)

    def joined(self, other: Span) -> Span:
        """Return the shortest span that holds both."""
        return Span(self.first.minimum(other.first), self.last.maximum(other.last), self.size)


@dataclass(frozen=True)
class Reach:
    """What each window reaches of a map: a rectangle of rows and columns."""

    rows: Span
    columns: Span

    @property
    def share(self) -> float:
        """The part of the map that patches of this reach cover, above 0, at most 1."""
        rows, columns = self.rows, self.columns
        return rows.length * columns.length / (rows.size * columns.size)

    def through(self, slides: tuple[Slide, Slide], size: tuple[int, int]) -> Reach:
        """Return the reach behind a kernel with outputs of that height and width."""
        return Reach(
            self.rows.through(slides[0], size[0]), self.columns.through(slides[1], size[1])
        )

    def joined(self, other: Reach) -> Reach:
        """Return the smallest rectangles that hold both."""
        return Reach(self.rows.joined(other.rows), self.columns.joined(other.columns))


@dataclass(frozen=True)
class Placement:
    """Where rectangles of one size lie, one a window.

    Attributes:
        top, left: their first row and column in a map.
        height, width: their size in pixels.
    """

    top: Int[Tensor, " mask"]
    left: Int[Tensor, " mask"]
    height: int
    width: int

    @staticmethod
    def of_patches(reach: Reach, slides: tuple[Slide, Slide]) -> Placement:
        """Return where patches of a reach lie in the map that is padded for a kernel."""
        return Placement(
            reach.rows.start + slides[0].before,
            reach.columns.start + slides[1].before,
            reach.rows.length,
            reach.columns.length,
        )

    @staticmethod
    def read_for(reach: Reach, slides: tuple[Slide, Slide]) -> Placement:
        """Return what a kernel reads of the padded map to make patches of a reach."""
        return Placement(
            reach.rows.start * slides[0].stride,
            reach.columns.start * slides[1].stride,
            slides[0].needed(reach.rows.length),
            slides[1].needed(reach.columns.length),
        )

    @staticmethod
    def of_map(reach: Reach) -> Placement:
        """Return the whole map, once a window."""
        nowhere = torch.zeros_like(reach.rows.first)
        return Placement(nowhere, nowhere, reach.rows.size, reach.columns.size)

    def equals(self, other: Placement) -> bool:
        """Say whether the same rectangles are meant."""
        size, other_size = (self.height, self.width), (other.height, other.width)
        return size == other_size and all(
            map(torch.equal, (self.top, self.left), (other.top, other.left))
        )

    def to(self, device: torch.device) -> Placement:
        """Return the same on a device."""
        return replace(self, top=self.top.to(device), left=self.left.to(device))
