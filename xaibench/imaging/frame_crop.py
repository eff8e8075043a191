"""The dark frame around a radiograph: found by scanning in from each side, and cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt
from scipy import ndimage
from skimage.filters import threshold_otsu

from xaibench.types import Picture

_FAINT = 6.0  # grey levels within which a frame counts as uniform, for the noise of JPEG
_NEAR = 3  # lines on either side of an edge that are compared
_PARTS = 16  # of a line; along a straight edge they all get brighter at the same line
_SHARP = 3.0  # how much more the grey rises at an edge than just outside of it

Share = Annotated[float, Field(gt=0, lt=0.5)]


class Bounds(NamedTuple):
    """A rectangle of pixels; ``bottom`` and ``right`` are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def cut(
        self, image: Shaped[np.ndarray, "height width *colour"]
    ) -> Shaped[np.ndarray, "rows columns *colour"]:
        """Return this part of the image, as a view."""
        return image[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class CropOptions:
    """How the dark frame is found; lengths in pixels, shares of the side that is scanned."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    band: Share = 0.10
    """The border band whose pixels set the threshold between dark and not."""
    dark_fraction: Annotated[float, Field(gt=0.5, le=1)] = 0.80
    """A line is border where at least this share of it is dark."""
    smooth: PositiveInt = 7
    """Lines over which the share of dark pixels is smoothed."""
    blur: PositiveInt = 3
    run: PositiveInt = 8
    """So many content lines in a row end the scan."""
    padding: NonNegativeInt = 4
    """Of the frame found, so much is kept."""
    most: Share = 0.12
    """At most this is cut from a side."""
    smallest: PositiveInt = 16
    """An image with a shorter side is left alone."""


def crop_bounds(image: Picture, options: CropOptions) -> Bounds:
    """Return what is left of the image when its dark frame is cut; the whole where it has none.

    Each side is scanned inwards. A line is border where at least ``dark_fraction`` of it is dark by
    Otsu's threshold of the side's border band, and ``run`` content lines in a row end the scan.
    This rule alone also cuts the dark air beside a body, which is no frame. So the cut goes only to
    a line where a frame ends: what lies outside is uniformly dark, and along nearly all of the line
    it gets brighter at once, as it does at a straight edge and not beside a body.
    """
    height, width = image.shape
    if min(height, width) < options.smallest:
        return Bounds(0, height, 0, width)
    middle = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
    bright = float(np.median(middle))
    top, bottom, left, right = (
        _cut(side, bright, options) for side in (image, image[::-1], image.T, image.T[::-1])
    )
    return Bounds(top, height - bottom, left, width - right)


def _cut(image: UInt8[np.ndarray, "lines length"], bright: float, options: CropOptions) -> int:
    """Return how many of the first lines to cut."""
    lines = len(image)
    most = int(options.most * lines)
    # Far enough to see the end of a frame that is wider than what may be cut.
    reach = max(most + options.padding + options.run, lines // 4)
    # Blurred along the lines only: across them it would move the edge.
    strip = ndimage.uniform_filter1d(image[:reach].astype(np.float32), options.blur, axis=1)
    outer = strip[: max(options.padding, 2)]
    level = float(np.median(outer))
    noise = 1.4826 * float(np.median(np.abs(outer - level)))
    ceiling = level + max(_FAINT, 4 * noise)
    if ceiling > bright / 2:
        return 0  # not dark
    band = strip[: max(int(options.band * lines), 2)]
    # In a band that lies in the frame as a whole, Otsu's threshold would divide noise.
    threshold = max(_otsu(band), ceiling)
    dark = ndimage.median_filter((strip <= threshold).mean(axis=1), options.smooth, mode="nearest")
    proposed = _scanned(dark >= options.dark_fraction, options.run)
    if proposed <= options.padding:
        return 0
    edge = _edge(strip, level + max(_FAINT / 2, noise), options.dark_fraction)
    if edge > proposed + _NEAR:
        return 0
    return min(max(edge - options.padding, 0), most)


def _otsu(band: Float[np.ndarray, "lines length"]) -> float:
    """Return the brightest grey that is dark: Otsu's threshold on the inverted band."""
    inverted = 255 - np.rint(band).astype(np.uint8)
    if inverted.min() == inverted.max():
        return 0.0
    return 254.0 - float(threshold_otsu(inverted))


def _scanned(border: Bool[np.ndarray, " lines"], run: int) -> int:
    """Return the number of lines up to the last border line before ``run`` content lines."""
    depth = content = 0
    for line, is_border in enumerate(border):
        content = 0 if is_border else content + 1
        if content >= run:
            break
        if is_border:
            depth = line + 1
    return depth


def _edge(strip: Float[np.ndarray, "lines length"], faint: float, share: float) -> int:
    """Return the first line inside the frame, 0 where none ends at a straight edge.

    Args:
        faint: the grey that the mean of a part of a frame's line stays below.
        share: of the parts that must get brighter within a line of each other.
    """
    # The ends of the lines are left out: there the frame's other sides lie, which never rise.
    length = strip.shape[1]
    ends = int(length * 0.15)
    inner = strip[:, ends : length - ends]
    parts = np.array_split(inner, min(_PARTS, inner.shape[1]), axis=1)
    means = np.stack([part.mean(axis=1) for part in parts], axis=1)
    inside = (means[:-1] > faint) & (means[1:] > faint)
    first = np.where(inside.any(axis=0), inside.argmax(axis=0), len(strip))
    line = int(np.median(first))
    straight = np.mean(np.abs(first - line) <= 1) >= share
    if not straight or not _NEAR <= line <= len(strip) - _NEAR:
        return 0
    outside = means[line - _NEAR : line].mean(axis=0)
    rise = np.median(means[line : line + _NEAR].mean(axis=0) - outside)
    before = np.median(outside - means[max(line - 2 * _NEAR, 0) : line - _NEAR + 1].mean(axis=0))
    # A slope, such as the soft shadow of an arm, rises before it as well.
    return line if rise > _SHARP * before else 0
