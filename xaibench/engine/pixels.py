"""Whole pixels in channels_last: each is one run of memory, on a CPU and on a GPU."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def pixels_of(maps: Float[Tensor, "*image height width channel"]) -> Float[Tensor, "pixel channel"]:
    """Return the pixels of all maps in a row, image by image, line by line."""
    return maps.reshape(-1, maps.shape[-1])


def gathered(
    pixels: Float[Tensor, "pixel channel"], at: Int[Tensor, "image height width"]
) -> Float[Tensor, "image channel height width"]:
    """Return images in channels_last made of the pixels with those numbers."""
    chosen = pixels.index_select(0, at.flatten())
    return chosen.view(*at.shape, pixels.shape[1]).permute(0, 3, 1, 2)
