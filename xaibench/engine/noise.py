"""Copies of images with Gaussian noise, the same whatever batch they are made in."""

from __future__ import annotations

from collections.abc import Callable

from xaibench.engine.batch import Pixels, Seeds
from xaibench.engine.gradients import PairImages, Pairs
from xaibench.randomness import NOISY_COPY, copy_seeds, random_normal


def noisy_copies(
    images: Pixels, seeds: Seeds, share: float
) -> Callable[[Pairs, Pairs], PairImages]:
    """Return what makes numbered copies of images: x + sigma z, z standard normal.

    Args:
        share: sigma as a share of the image's own range, max x - min x over all channels.
    """
    flat = images.flatten(1)
    sigmas = share * (flat.amax(1) - flat.amin(1))[:, None]

    def copies(image: Pairs, copy: Pairs) -> PairImages:
        drawn = random_normal(copy_seeds(seeds[image], copy), flat.shape[1], NOISY_COPY)
        noise = (sigmas[image] * drawn).to(images.dtype)
        return images[image] + noise.view(-1, *images.shape[1:])

    return copies
