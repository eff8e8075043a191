"""The band of pixels along an image's border. Imports no torch."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool


def band_pixels(side: int, band: float) -> int:
    """Return how many pixels wide the band is along a side: band x side, rounded, at least 1."""
    return max(1, math.floor(band * side + 0.5))


def outer_band(height: int, width: int, band: float) -> Bool[np.ndarray, "height width"]:
    """Return the mask of the band.

    Args:
        band: its width as a share of the height (above and below) and of the width (left and
            right), each rounded to whole pixels.
    """
    down, across = band_pixels(height, band), band_pixels(width, band)
    mask = np.ones((height, width), dtype=bool)
    mask[down : height - down, across : width - across] = False
    return mask
