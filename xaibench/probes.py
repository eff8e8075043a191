"""Occlusion probes: fixed parts of an image that are hidden, and what is painted over them.

Numpy only: the metric and the figure read the same pixels from a probe's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

QUADRANTS = ("top_left", "top_right", "bottom_left", "bottom_right")


def probe_names(
    quadrants: bool, squares: Sequence[int], fractions: Sequence[float], rings: Sequence[float]
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


def probe_mask(name: str, height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Return where a probe hides an image.

    Fractions are of the shorter side, rounded half up, and at least one pixel. Of an odd side the
    middle line belongs to the lower or right quadrants; a square that cannot lie in the middle
    lies half a pixel up or to the left.
    """
    kind, _, what = name.partition("_")
    mask = np.zeros((height, width), bool)
    if kind == "quadrant":
        above, left = what.split("_")
        rows = slice(0, height // 2) if above == "top" else slice(height // 2, height)
        columns = slice(0, width // 2) if left == "left" else slice(width // 2, width)
        mask[rows, columns] = True
    elif kind == "square":
        side = int(what[:-2]) if what.endswith("px") else _pixels(what, height, width)
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        mask[top : top + side, left : left + side] = True
    else:
        border = _pixels(what, height, width)
        mask[:] = True
        mask[border : height - border, border : width - border] = False
    return mask


def _pixels(fraction: str, height: int, width: int) -> int:
    return max(1, int(float(fraction) * min(height, width) + 0.5))


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
