"""Fills: what stands behind an image where it is masked."""

from __future__ import annotations

import re
from typing import Annotated

import torch
from pydantic import AfterValidator
from torchvision.transforms.v2.functional import gaussian_blur

from xaibench.engine.batch import Batch, Pixels
from xaibench.errors import UserError
from xaibench.randomness import UNIFORM, random_uniform

_BLUR = re.compile(r"blur(?:\((\d+),(\d+(?:\.\d+)?)\))?")
_NAMED = ("black", "dataset_mean", "image_mean", "uniform")
_FILLS = "black, dataset_mean, image_mean, blur, blur(KERNEL,SIGMA), uniform, or a number in [0, 1]"


def _check_fill(fill: str | float) -> str | float:
    if isinstance(fill, str):
        blur = _BLUR.fullmatch(fill)
        if blur is None and fill not in _NAMED:
            raise ValueError(f"unknown fill {fill!r}; allowed: {_FILLS}")
        if blur and blur[1] and int(blur[1]) % 2 == 0:
            raise ValueError(f"the kernel of {fill!r} must be odd")
        if blur and blur[2] and float(blur[2]) == 0:
            raise ValueError(f"the sigma of {fill!r} must be above 0")
    elif not 0 <= fill <= 1:
        raise ValueError(f"a fill of {fill} is outside [0, 1], the range of images")
    return fill


Fill = Annotated[str | float, AfterValidator(_check_fill)]
"""What replaces a pixel: ``black`` (0), ``dataset_mean`` (mean of the training images by channel;
zero in the normalised space of Petsiuk et al. 2018), ``image_mean`` (the image's own, by channel),
``uniform`` (noise on [0, 1), the image's own, of each channel), ``blur`` (Gaussian, 11 x 11 pixels,
sigma 5, as in RISE), ``blur(KERNEL,SIGMA)`` in pixels, or a number in [0, 1]."""


def fill_images(batch: Batch, fill: Fill) -> Pixels:
    """Return what stands behind each image where it is masked."""
    images = batch.images
    if fill == "dataset_mean":
        return batch.dataset_mean.view(1, -1, 1, 1).expand_as(images)
    if fill == "image_mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    if fill == "uniform":
        whole, at = batch.whole()  # the same noise for every map of an image
        noise = random_uniform(whole.seeds[at], images[0].numel(), UNIFORM)
        return noise.view(images.shape).to(images.dtype)
    if isinstance(fill, str) and (blur := _BLUR.fullmatch(fill)):
        kernel, sigma = int(blur[1] or 11), float(blur[2] or 5)
        if kernel // 2 >= min(images.shape[2:]):
            raise UserError(
                f"fill {fill!r}: a kernel of {kernel} pixels is too wide for images of "
                f"{images.shape[2]} x {images.shape[3]}; at most twice the shorter side less one"
            )
        return gaussian_blur(images, [kernel, kernel], [sigma, sigma])
    return torch.full_like(images, 0.0 if fill == "black" else float(fill))
