"""A few training images that explainers may set an image against."""

from __future__ import annotations

import numpy as np

from xaibench.types import Images, Split

REFERENCES = 16
"""Images drawn: 16 of 224 x 224 pixels in three channels take 9.6 MB on the device."""


def reference_images(split: Split, seed: int, at_most: int = REFERENCES) -> Images:
    """Return a seeded draw of at most ``at_most`` images, in the split's order."""
    chosen = np.random.default_rng(seed).permutation(len(split))[:at_most]
    chosen.sort()
    return split.images(chosen)
