"""The mean picture element of a data set."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from xaibench.types import Split


def channel_mean(split: Split, seed: int, at_most: int = 2048) -> Float[np.ndarray, " channel"]:
    """Return the mean of each channel in [0, 1] over a seeded draw of at most ``at_most`` images.

    This is the ``dataset_mean`` fill. The draw keeps it quick: with 2,048 images the standard
    error of a channel's mean is below 0.004 for any images in [0, 1] whose means vary by 0.2.
    """
    chosen = np.random.default_rng(seed).permutation(len(split))[:at_most]
    chosen.sort()
    total = np.zeros(split.images(chosen[:1]).shape[-1])
    for start in range(0, len(chosen), 256):
        images = split.images(chosen[start : start + 256])
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        total += images.mean(axis=(1, 2), dtype=np.float64).sum(axis=0) / scale
    return (total / len(chosen)).astype(np.float32)
