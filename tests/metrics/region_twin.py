"""A slow, literal twin of what replaces squares of pixels by falling sum of relevance."""

from __future__ import annotations

import torch


@torch.no_grad()
def literal_regions(model, image, target, relevance, fill, side, steps, space="prob"):
    """Return the scores after 0, 1, ... of the most relevant squares are gone, and their number."""
    height, width = relevance.shape
    corners = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
    inside = lambda c: (slice(c[0], c[0] + side), slice(c[1], c[1] + side))
    falling = sorted(corners, key=lambda c: -relevance[inside(c)].double().sum().item())
    shown, ys = image.clone(), []
    for k in range(min(steps, len(corners)) + 1):
        if k:
            at = (slice(None), *inside(falling[k - 1]))
            shown[at] = fill[at]
        ys.append(model.score(shown[None], target[None], space).item())
    return ys, len(corners)
