"""Fixed regions of an image: its outer band, occlusion probes, and what is painted over those.

Numpy only: metrics and figures take the same pixels from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from xaibench.types import Mask

QUADRANTS = ("top_left", "top_right", "bottom_left", "bottom_right")


def band_pixels(side: int, band: float) -> int:
    """Return a share of a side in whole pixels: band x side, rounded half up, at least 1."""
    return max(1, math.floor(band * side + 0.5))


def outer_band(height: int, width: int, band: float) -> Mask:
    """Return the mask of the band.

    Args:
        band: its width as a share of the height (above and below) and of the width (left and
            right), each rounded to whole pixels.
    """
    down, across = band_pixels(height, band), band_pixels(width, band)
    mask = np.ones((height, width), dtype=bool)
    mask[down : height - down, across : width - across] = False
    return mask


def probe_names(
    quadrants: bool,
    squares: Sequence[int],
    fractions: Sequence[int | float],
    rings: Sequence[int | float],
) -> list[str]:
    """Return a name for each probe: ``quadrant_top_left``, ``square_10px``, ``ring_0.1``, ...

    Args:
        quadrants: whether to hide each of the four.
        squares: sides of centred squares in pixels.
        fractions: sides of centred squares as a fraction of the image's shorter side.
        rings: widths of rings along the border, likewise; the centre is kept.
    """
    return [
        *(f"quadrant_{where}" for where in QUADRANTS if quadrants),
        *(f"square_{pixels}px" for pixels in squares),
        *(f"square_{fraction}" for fraction in fractions),
        *(f"ring_{fraction}" for fraction in rings),
    ]


def probe_mask(name: str, height: int, width: int) -> Mask:
    """Return where a probe hides an image.

    Fractions are `band_pixels` of the shorter side. Of an odd side the
    middle line belongs to the lower or right quadrants; a square that cannot lie in the middle
    lies half a pixel up or to the left.
    """
    kind, _, what = name.partition("_")
    shorter = min(height, width)
    mask = np.zeros((height, width), bool)
    if kind == "quadrant":
        above, left = what.split("_")
        rows = slice(0, height // 2) if above == "top" else slice(height // 2, height)
        columns = slice(0, width // 2) if left == "left" else slice(width // 2, width)
        mask[rows, columns] = True
    elif kind == "square":
        side = int(what[:-2]) if what.endswith("px") else band_pixels(shorter, float(what))
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        mask[top : top + side, left : left + side] = True
    else:
        border = band_pixels(shorter, float(what))
        mask[:] = True
        mask[border : height - border, border : width - border] = False
    return mask


def filled(
    image: Float[np.ndarray, "height width channel"],
    fill: str | float,
    dataset_mean: Float[np.ndarray, " channel"],
) -> Float[np.ndarray, "height width channel"]:
    """Return what stands behind an image in [0, 1]: the masking engine's fills, without torch."""
    if fill == "dataset_mean":
        return np.broadcast_to(dataset_mean, image.shape)
    if fill == "image_mean":
        return np.broadcast_to(image.mean(axis=(0, 1)), image.shape)
    if isinstance(fill, str) and fill.startswith("blur"):
        kernel, sigma = re.findall(r"[\d.]+", fill) or (11, 5)
        radius = int(kernel) // 2
        return gaussian_filter(image, float(sigma), radius=radius, mode="mirror", axes=(0, 1))
    return np.full_like(image, 0.0 if fill == "black" else float(fill))
