"""Fixed smooth noise, of which the textures of phantoms are cuts."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter


@cache
def noise_bank(seed: int, side: int, sigma: float) -> Float32[np.ndarray, "side side"]:
    """Return noise of unit variance, smooth over ``sigma`` pixels: one large seamless picture.

    Cutting it is some hundred times faster than smoothing anew, and unlike a matrix product it
    rounds alike however many threads there are.
    """
    white = np.random.default_rng([seed, int(10 * sigma)]).standard_normal
    smooth = gaussian_filter(white((side, side), np.float32), sigma, mode="wrap", truncate=3)
    return smooth / smooth.std()
