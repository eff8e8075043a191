"""From a picture of any size to that of the set, and masks and boxes along with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from pydantic import ConfigDict, Field

from xaibench.imaging.frame_crop import Bounds, CropOptions, crop_bounds
from xaibench.imaging.image_files import luma
from xaibench.types import ColourPicture, Mask, Picture

PREPROCESS_VERSION = 3  # raise it with every change that moves a pixel: caches are keyed by it


SIDES = (8, 4096)
"""The fewest and the most pixels of a side of a prepared picture."""
Side = Annotated[int, Field(ge=SIDES[0], le=SIDES[1])]


@dataclass(frozen=True)
class ResizeOptions:
    """How a picture becomes ``size`` pixels, a side or (height, width), without being stretched.

    ``cover`` scales it until it covers the size, and keeps the centre; ``pad`` scales it until it
    fits in, and fills the rest by reflection or by the picture's median.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    size: Side | tuple[Side, Side] = 224
    mode: Literal["cover", "pad"] = "cover"
    pad_fill: Literal["reflect", "median"] = "reflect"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


@dataclass(frozen=True)
class Preprocessing:
    """Crop (null: none), then resize (null: every picture keeps its size, and all have one)."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    crop: CropOptions | None = field(default_factory=CropOptions)
    resize: ResizeOptions | None = field(default_factory=ResizeOptions)


@dataclass(frozen=True)
class Placement:
    """Which part of the original stands where in the prepared picture.

    ``size`` is the prepared picture's height and width, ``bounds`` what the crop left of the
    original, ``source`` the part of it that is shown, and ``target`` where the prepared picture
    shows it; what is outside ``target`` is padding.
    """

    height: int
    width: int
    bounds: Bounds
    size: tuple[int, int]
    source: Bounds
    target: Bounds

    @property
    def removed(self) -> float:
        """Share of the original's area that the crop cut, before the resize."""
        rows, columns = self.bounds.shape
        return 1 - rows * columns / (self.height * self.width)

    @property
    def pad(self) -> Bool[np.ndarray, "tall wide"]:
        """Where the prepared picture shows filled pixels."""
        return _outside(self.target, self.size)

    def carry_mask(self, mask: Mask) -> Bool[np.ndarray, "tall wide"]:
        """Return the mask in the prepared picture: pixels at least half covered by it.

        Where none is (a line thinner than a pixel), those most covered stand for it.
        """
        if mask.shape != (self.height, self.width):
            raise ValueError(f"mask is {mask.shape}, the original {(self.height, self.width)}")
        carried = np.zeros(self.size, bool)
        covered = _resized(self.source.cut(mask).astype(np.uint8) * 255, self.target.shape)
        self.target.cut(carried)[:] = covered >= max(min(127.5, covered.max()), 1)
        return carried

    def carry_boxes(self, boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
        """Return boxes (top, bottom, left, right; original pixels) in the prepared picture.

        Clipped to it; a box that it does not show has no area.
        """
        carried = np.empty_like(boxes)
        for axis in (0, 2):
            begin, end = self.source[axis : axis + 2]
            first, last = self.target[axis : axis + 2]
            scale = (last - first) / (end - begin)
            moved = first + (boxes[:, axis : axis + 2] - begin) * scale
            carried[:, axis : axis + 2] = np.clip(moved, first, last)
        return carried


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared picture, and how it came about."""

    image: UInt8[np.ndarray, "tall wide *colour"]
    placement: Placement


def prepare(image: Picture | ColourPicture, options: Preprocessing) -> Prepared:
    """Cut the dark frame, and resize what is left.

    The stages: ``image``, then ``bounds.cut(image)``, then the prepared ``image`` with its ``pad``.
    """
    height, width = image.shape[:2]
    whole = Bounds(0, height, 0, width)
    grey = image if image.ndim == 2 else luma(image)
    bounds = whole if options.crop is None else crop_bounds(grey, options.crop)
    placement = place(height, width, bounds, options.resize)
    fill = "reflect" if options.resize is None else options.resize.pad_fill
    return Prepared(_placed(image, placement, fill), placement)


def place(height: int, width: int, bounds: Bounds, options: ResizeOptions | None) -> Placement:
    """Return where an original of this size lands once ``bounds`` are cut out of it.

    Without options it keeps its size.
    """
    tall, wide = size = bounds.shape if options is None else options.shape
    rows, columns = bounds.shape
    higher = rows * wide >= columns * tall  # than the prepared picture, for its width
    source, target = bounds, Bounds(0, tall, 0, wide)
    if options is not None and options.mode == "cover":
        shown = max(round(columns * tall / wide), 1) if higher else rows
        across = columns if higher else max(round(rows * wide / tall), 1)
        top, left = bounds.top + (rows - shown) // 2, bounds.left + (columns - across) // 2
        source = Bounds(top, top + shown, left, left + across)
    else:
        shown = tall if higher else max(round(rows * wide / columns), 1)
        across = max(round(columns * tall / rows), 1) if higher else wide
        top, left = (tall - shown) // 2, (wide - across) // 2
        target = Bounds(top, top + shown, left, left + across)
    return Placement(height, width, bounds, size, source, target)


def _placed(
    image: Picture | ColourPicture, placement: Placement, fill: Literal["reflect", "median"]
) -> UInt8[np.ndarray, "tall wide *colour"]:
    target = placement.target
    shown = _resized(placement.source.cut(image), target.shape)
    tall, wide = placement.size
    around = [(target.top, tall - target.bottom), (target.left, wide - target.right)]
    around += [(0, 0)] * (shown.ndim - 2)
    if fill == "reflect":
        return np.pad(shown, around, mode="reflect")
    padded = np.pad(shown, around)
    padded[_outside(target, placement.size)] = np.median(shown, axis=(0, 1)).astype(np.uint8)
    return padded


def _outside(target: Bounds, size: tuple[int, int]) -> Bool[np.ndarray, "tall wide"]:
    outside = np.ones(size, bool)
    target.cut(outside)[:] = False
    return outside


def _resized(
    image: Picture | ColourPicture, shape: tuple[int, int]
) -> UInt8[np.ndarray, "rows columns *colour"]:
    """Return the image at another size: area interpolation down, linear up.

    Pillow's BOX filter is area interpolation in whole pixels: each pixel becomes the mean of the
    original's pixels whose centres lie in the area that it shows, and none counts in part or twice.
    """
    smaller = shape[0] < image.shape[0] or shape[1] < image.shape[1]
    method = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(image).resize(shape[::-1], method))
