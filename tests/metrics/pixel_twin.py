"""A slow, literal twin of what replaces or restores pixels in their order."""

from __future__ import annotations

import math

import torch

PIXELS = 32 * 32


def random_maps(count: int = 5) -> torch.Tensor:
    """Maps without ties."""
    generator = torch.Generator().manual_seed(3)
    orders = [torch.randperm(PIXELS, generator=generator) for _ in range(count)]
    return torch.stack(orders).view(count, 32, 32) / PIXELS - 0.5


@torch.no_grad()
def literal_curve(model, start, other, target, ranking, steps, space):
    """Petsiuk et al. 2018: n_k = round(k / S HW) pixels of ``start`` become those of ``other`` at
    step k, in the order of the ranking; the fractions, the scores and the trapezoid."""
    xs, ys = [], []
    for k in range(steps + 1):
        n = math.floor(k * PIXELS / steps + 0.5)
        shown = start.clone()
        for p in ranking[:n]:
            shown[:, p // 32, p % 32] = other[:, p // 32, p % 32]
        xs.append(n / PIXELS)
        ys.append(model.score(shown[None], target[None], space).item())
    area = sum((xs[k + 1] - xs[k]) * (ys[k] + ys[k + 1]) / 2 for k in range(steps))
    return xs, ys, area
