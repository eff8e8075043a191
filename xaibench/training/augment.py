"""Random changes to training images, a whole batch at a time and each image by its own seed."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from xaibench.randomness import random_uniform
from xaibench.training.options import AugmentOptions

_STREAM = 11
_DRAWS = 7
# ITU-R BT.601 luma, with the digits that torchvision uses.
_LUMA = (0.2989, 0.587, 0.114)

Images = Float[Tensor, "batch channel height width"]
PerImage = Float[Tensor, " batch"]


def augment(images: Images, seeds: Int[Tensor, " batch"], options: AugmentOptions) -> Images:
    """Return the images flipped, rotated and with colours changed, in that order, in [0, 1].

    Args:
        images: in [0, 1].
        seeds: one an image; an image's changes depend on its seed alone, not on its batch.
        options: probabilities and largest changes.
    """
    u = random_uniform(seeds, _DRAWS, _STREAM).unbind(1)
    if options.horizontal_flip:
        images = _choose(u[0] < options.horizontal_flip, flip(images), images)
    if options.rotation and options.rotation_probability:
        rotated = rotate(images, (2 * u[2] - 1) * options.rotation)
        images = _choose(u[1] < options.rotation_probability, rotated, images)
    if options.color_jitter and options.color_jitter_probability:
        # A factor of 1 changes nothing, to the last bit: so are the images not chosen left alone.
        size = options.color_jitter * (u[3] < options.color_jitter_probability)
        brightness, contrast, saturation = (1 + (2 * x - 1) * size for x in u[4:])
        images = adjust_brightness(images, brightness)
        images = adjust_contrast(images, contrast)
        images = adjust_saturation(images, saturation)
    return images


def flip(images: Images) -> Images:
    """Return the images mirrored left to right."""
    return images.flip(-1)


def rotate(images: Images, degrees: PerImage) -> Images:
    """Return the images turned about their centre, counter-clockwise, bilinear.

    What comes in from outside repeats the nearest edge pixel: a black corner would be a mark
    that no real image has.
    """
    _, _, height, width = images.shape
    angle = torch.deg2rad(degrees).to(images.dtype).view(-1, 1, 1)
    cos, sin = angle.cos(), angle.sin()
    # Pixel centres from the middle of the image; ``affine_grid`` does the same ten times slower.
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    # The grid's unit is half a side.
    from_x = (cos * x - sin * y) * (2 / width)
    from_y = (sin * x + cos * y) * (2 / height)
    grid = torch.stack((from_x, from_y), dim=-1)
    turned = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    # The four weights of a bilinear mean can sum to a rounding error above 1.
    return turned.clamp_(0, 1)


def adjust_brightness(images: Images, factor: PerImage) -> Images:
    """Return ``factor * image``, clamped to [0, 1]."""
    return _blend(images, images.new_zeros(1), factor)


def adjust_contrast(images: Images, factor: PerImage) -> Images:
    """Return the blend with the image's mean grey, clamped to [0, 1]; above 1 it is sharper."""
    return _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Images, factor: PerImage) -> Images:
    """Return the blend with the grey image, clamped to [0, 1]; only RGB images are changed."""
    return _blend(images, _grey(images), factor) if images.shape[1] == 3 else images


def _grey(images: Images) -> Float[Tensor, "batch 1 height width"]:
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = (images[:, i : i + 1] * weight for i, weight in enumerate(_LUMA))
    return red + green + blue


def _blend(images: Images, other: Tensor, factor: PerImage) -> Images:
    factor = factor.to(images.dtype).view(-1, 1, 1, 1)
    # factor * image + (1 - factor) * other, in one pass over the memory.
    return torch.lerp(other, images, factor).clamp_(0, 1)


def _choose(chosen: Bool[Tensor, " batch"], changed: Images, images: Images) -> Images:
    return torch.where(chosen.view(-1, 1, 1, 1), changed, images)
