"""Smooth masks of few parameters, and images that are degraded where such a mask is low."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from xaibench.engine.batch import Maps, PerImage, Pixels

Levels = Float[Tensor, "batch level channel height width"]
"""Each image from wholly degraded (first) to as it is (last)."""


@dataclass(frozen=True)
class SmoothMasks:
    """Masks m(u) = smax_v k(|u - v| / sigma) p(v) of parameters p on a grid: extremal perturbation.

    smax f = sum f exp(f / T) / sum exp(f / T), T = 1 / 20, over the grid's points within
    1 + ceil(sigma) cells of the pixel's own, zeros beyond the border;
    k(z) = exp(-2 max(0, z - 1/2)^2).

    Attributes:
        size: height and width of the masks.
        step: pixels between points of the grid, which lie in the middle of square cells.
        sigma: in cells.
    """

    size: tuple[int, int]
    step: int
    sigma: float

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the parameters."""
        height, width = self.size
        return -(-height // self.step), -(-width // self.step)

    @property
    def radius(self) -> int:
        return 1 + math.ceil(self.sigma)

    def kernel(self, device: torch.device) -> Float[Tensor, "neighbour height width"]:
        """Return k at each pixel for each neighbour of its own cell, row by row."""
        near = torch.arange(-self.radius, self.radius + 1, device=device)
        away = []
        for side in self.size:
            pixel = torch.arange(side, device=device)
            centre = (pixel // self.step + near[:, None] + 0.5) * self.step - 0.5
            away.append((pixel - centre) / (self.sigma * self.step))
        distance = (away[0][:, None, :, None] ** 2 + away[1][None, :, None, :] ** 2).sqrt()
        return torch.exp(-2 * (distance - 0.5).clamp_min(0) ** 2).flatten(0, 1)

    def masks(
        self,
        parameters: Float[Tensor, "batch row column"],
        kernel: Float[Tensor, "neighbour height width"],
    ) -> Maps:
        width = 2 * self.radius + 1
        near = F.unfold(parameters[:, None], width, padding=self.radius)
        near = near.view(len(parameters), -1, *self.grid)
        near = near.repeat_interleave(self.step, 2).repeat_interleave(self.step, 3)
        f = near[:, :, : self.size[0], : self.size[1]] * kernel
        return (f * (20 * f).softmax(1)).sum(1)


def blur_levels(images: Pixels, sigma: float, levels: int) -> Levels:
    """Return images blurred by Gaussians of sigma falling evenly to 0; reflected at the border."""
    parts = []
    for level in range(levels - 1):
        width = sigma * (1 - level / (levels - 1))
        radius = min(math.ceil(3 * width), min(images.shape[2:]) - 1)
        parts.append(gaussian_blur(images, [2 * radius + 1] * 2, [width] * 2))
    return torch.stack([*parts, images], dim=1)


def degraded(levels: Levels, masks: Maps) -> Pixels:
    """Return images that are, at each pixel, between the two levels that its mask lies between."""
    count = levels.shape[1]
    at = torch.arange(count, device=masks.device)[:, None, None]
    share = (1 - (masks[:, None] * (count - 1) - at).abs()).clamp_min(0)
    return torch.einsum("blhw,blchw->bchw", share, levels)


def area_excess(masks: Maps, areas: PerImage) -> PerImage:
    """Return the mean of |vecsort(m) - r_a|^2, r_a zeros and then a share a of ones.

    Pixels that are equal share what is wanted of them: in a mask that is equal everywhere, none is
    asked to fall before another for its place.
    """
    values = masks.flatten(1).sort(dim=1).values
    pixels = values.shape[1]
    zeros = (pixels * (1 - areas)).long()[:, None]
    wanted = (torch.arange(pixels, device=masks.device) >= zeros).to(values.dtype)
    # More than rounding apart; sums of zeros and ones are exact in any order.
    apart = F.pad(values.detach().diff(dim=1) > 1e-6, (1, 0))
    group = apart.cumsum(1)
    sums = torch.zeros_like(wanted).scatter_add_(1, group, wanted)
    counts = torch.zeros_like(wanted).scatter_add_(1, group, torch.ones_like(wanted))
    shared = (sums / counts.clamp_min(1)).gather(1, group)
    return (values - shared).square().mean(1)
