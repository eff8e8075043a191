"""Sums and means over segments."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from xaibench.engine.batch import Maps, Pixels, Segments


def segment_means(values: Maps, segments: Segments) -> Float[Tensor, "batch segment"]:
    """Return the mean value in each segment, in float64; NaN behind an image's own segments."""
    return segment_sums(values, segments) / segment_areas(segments)


def segment_sums(values: Maps, segments: Segments) -> Float[Tensor, "batch segment"]:
    """Return the sum of the values in each segment, in float64; 0 behind an image's own."""
    labels = segments.flatten(1)
    sums = values.new_zeros(len(values), int(segments.max()) + 1, dtype=torch.float64)
    return sums.scatter_add_(1, labels, values.flatten(1).double())


def segment_areas(segments: Segments) -> Float[Tensor, "batch segment"]:
    """Return the number of pixels of each segment; 0 behind an image's own segments."""
    labels = segments.flatten(1)
    areas = torch.zeros(
        len(segments), int(segments.max()) + 1, dtype=torch.float64, device=segments.device
    )
    return areas.scatter_add_(1, labels, torch.ones_like(labels, dtype=torch.float64))


def segment_mean_images(images: Pixels, segments: Segments) -> Pixels:
    """Return the images with every segment in its own mean colour."""
    planes = [
        segment_means(channel, segments).nan_to_num().gather(1, segments.flatten(1))
        for channel in images.unbind(1)
    ]
    return torch.stack(planes, dim=1).view_as(images).to(images.dtype)
