"""An estimate of where the lungs are, for radiographs without an annotation of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_opening, gaussian_filter
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from xaibench.imaging.frame_crop import Bounds
from xaibench.imaging.picture_sets import Asked
from xaibench.types import Mask, Picture

# Top, bottom, left, right as shares of height and width: the median box of 400 frontal radiographs
# of children in which the lungs were found.
USUAL = (0.17, 0.87, 0.14, 0.85)
_CENTRE = (0.05, 0.95, 0.03, 0.97)
# As shares of the picture's area: the smallest part of a lung that counts, the smallest lung.
_SMALLEST_PART, _SMALLEST_LUNG = 0.003, 0.015


def lungs_box(image: Picture) -> Mask:
    """Return the box around both lungs of a frontal radiograph, as an estimate.

    The picture is flattened of its wide shades and cut by Otsu's threshold in its central part;
    the dark regions that do not touch that part's border are the lungs, one or several pieces
    (ribs part them) in each half. Where a half has none, or the box is too small or too wide for
    a chest, the usual place is returned.
    """
    height, width = image.shape
    inside = np.zeros((height, width), bool)
    (_found(image) or _whole(USUAL, height, width)).cut(inside)[:] = True
    return inside


def lungs_masks(asked: Asked) -> dict[str, Bool[np.ndarray, "n tall wide"]]:
    """Return the box of each image asked for, whatever the target: where a finding may lie."""
    boxes = [lungs_box(image) for image in asked.images]
    return {"lungs_box_weak": np.stack(boxes) if boxes else np.zeros(asked.images.shape, bool)}


def _found(image: Picture) -> Bounds | None:
    height, width = image.shape
    centre = _whole(_CENTRE, height, width)
    halves: tuple[list, list] = ([], [])
    for region in regionprops(label(_dark(image.astype(np.float32), centre))):
        row, column = region.centroid
        top, left, _, right = region.bbox
        free = top > centre.top + 1 and left > centre.left + 1 and right < centre.right - 1
        # Below four fifths lies the belly, whose gas is dark too.
        if free and region.area >= _SMALLEST_PART * image.size and 0.15 < row / height < 0.8:
            halves[int(column > width / 2)].append(region)
    kept = []
    for half in halves:
        if sum(region.area for region in half) < _SMALLEST_LUNG * image.size:
            return None
        largest = max(region.area for region in half)
        kept += [region.bbox for region in half if region.area >= 0.15 * largest]
    tops, lefts, bottoms, rights = zip(*kept, strict=True)
    box = Bounds(min(tops), max(bottoms), min(lefts), max(rights))
    high, wide = box.shape[0] / height, box.shape[1] / width
    return box if 0.45 < wide < 0.95 and high > 0.3 else None


def _dark(image: Float[np.ndarray, "height width"], centre: Bounds) -> Mask:
    """Return what is darker than its surroundings, in the central part."""
    side = min(image.shape)
    smooth = gaussian_filter(image, 0.012 * side)
    flat = smooth - gaussian_filter(smooth, 0.22 * side, mode="nearest")
    dark = np.zeros(image.shape, bool)
    part = centre.cut(flat)
    if part.size == 0 or part.min() == part.max():
        return dark
    centre.cut(dark)[:] = part < threshold_otsu(part)
    # Thin bridges tie the lungs to the dark beside the neck.
    return binary_opening(dark, iterations=max(1, round(0.012 * side)))


def _whole(shares: tuple[float, float, float, float], height: int, width: int) -> Bounds:
    sides = (height, height, width, width)
    return Bounds(*(round(p * s) for p, s in zip(shares, sides, strict=True)))
