"""From a picture of any size to a square one, and masks and boxes along with it."""

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


@dataclass(frozen=True)
class ResizeOptions:
    """How a picture becomes ``size`` x ``size`` pixels without being stretched.

    ``cover`` scales the shorter side to ``size`` and keeps the centre; ``pad`` scales the longer
    side to ``size`` and fills the rest by reflection or by the picture's median.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    size: Annotated[int, Field(ge=8, le=4096)] = 224
    mode: Literal["cover", "pad"] = "cover"
    pad_fill: Literal["reflect", "median"] = "reflect"


@dataclass(frozen=True)
class Preprocessing:
    """Crop (null: none), then resize."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    crop: CropOptions | None = field(default_factory=CropOptions)
    resize: ResizeOptions = field(default_factory=ResizeOptions)


@dataclass(frozen=True)
class Placement:
    """Which part of the original stands where in the prepared picture.

    ``bounds`` is what the crop left of the original, ``source`` the part of it that is shown, and
    ``target`` where the prepared picture shows it; what is outside ``target`` is padding.
    """

    height: int
    width: int
    bounds: Bounds
    size: int
    source: Bounds
    target: Bounds

    @property
    def removed(self) -> float:
        """Share of the original's area that the crop cut, before the resize."""
        rows, columns = self.bounds.shape
        return 1 - rows * columns / (self.height * self.width)

    @property
    def pad(self) -> Bool[np.ndarray, "size size"]:
        """Where the prepared picture shows filled pixels."""
        return _outside(self.target, self.size)

    def carry_mask(self, mask: Mask) -> Bool[np.ndarray, "size size"]:
        """Return the mask in the prepared picture: pixels at least half covered by it.

        Where none is (a line thinner than a pixel), those most covered stand for it.
        """
        if mask.shape != (self.height, self.width):
            raise ValueError(f"mask is {mask.shape}, the original {(self.height, self.width)}")
        carried = np.zeros((self.size, self.size), bool)
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

    image: UInt8[np.ndarray, "size size *colour"]
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
    return Prepared(_placed(image, placement, options.resize), placement)


def place(height: int, width: int, bounds: Bounds, options: ResizeOptions) -> Placement:
    """Return where an original of this size lands once ``bounds`` are cut out of it."""
    tall, wide = bounds.shape
    size = options.size
    if options.mode == "cover":
        side = min(tall, wide)
        top, left = bounds.top + (tall - side) // 2, bounds.left + (wide - side) // 2
        source, target = Bounds(top, top + side, left, left + side), Bounds(0, size, 0, size)
    else:
        longer = max(tall, wide)
        rows, columns = (max(round(side * size / longer), 1) for side in (tall, wide))
        top, left = (size - rows) // 2, (size - columns) // 2
        source, target = bounds, Bounds(top, top + rows, left, left + columns)
    return Placement(height, width, bounds, size, source, target)


def _placed(
    image: Picture | ColourPicture, placement: Placement, options: ResizeOptions
) -> UInt8[np.ndarray, "size size *colour"]:
    target = placement.target
    shown = _resized(placement.source.cut(image), target.shape)
    size = placement.size
    around = [(target.top, size - target.bottom), (target.left, size - target.right)]
    around += [(0, 0)] * (shown.ndim - 2)
    if options.pad_fill == "reflect":
        return np.pad(shown, around, mode="reflect")
    padded = np.pad(shown, around)
    padded[_outside(target, size)] = np.median(shown, axis=(0, 1)).astype(np.uint8)
    return padded


def _outside(target: Bounds, size: int) -> Bool[np.ndarray, "size size"]:
    outside = np.ones((size, size), bool)
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
