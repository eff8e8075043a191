"""Curves: the score as pixels fall to the fill, or rise from it, and the area under them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xaibench.engine.batch import Batch, Maps, PerImage
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.masks import RankMasks
from xaibench.engine.scores import masked_scores
from xaibench.engine.shared import filled_score, unmasked_score
from xaibench.models.base import Classifier
from xaibench.randomness import descending_order
from xaibench.types import Space


def removal_curve(
    model: Classifier,
    batch: Batch,
    maps: Maps,
    counts: Int[Tensor, " step"],
    *,
    fill: Fill,
    space: Space,
    insert: bool = False,
    least_first: bool = False,
) -> Float[Tensor, "batch step"]:
    """Return the score as pixels fall to (or, with ``insert``, rise from) the fill.

    Args:
        maps: relevance; the most relevant pixels go first, ties in the image's own random order.
        counts: pixels gone (or restored) at each step, rising from 0 to height x width.
        least_first: the same order from its other end, the least relevant pixel first.

    The first and the last step are the same for every map of an image and are scored once.
    """
    height, width = maps.shape[1:]
    order = descending_order(maps.flatten(1), batch.seeds)
    order = order.flip(1) if least_first else order
    steps = torch.arange(height * width, device=maps.device, dtype=torch.int32).expand_as(order)
    ranks = torch.empty_like(steps).scatter_(1, order, steps).view(maps.shape)
    inner = counts[1:-1].expand(len(batch), -1)
    masks = RankMasks(ranks, inner, torch.full_like(batch.targets, inner.shape[1]), keep=insert)
    fills = fill_images(batch, fill)
    scores = masked_scores(model, batch.images, fills, batch.targets, masks, space)
    ends = [unmasked_score(model, batch, space), filled_score(model, batch, fill, space)]
    first, last = reversed(ends) if insert else ends
    return torch.cat([first[:, None], scores, last[:, None]], dim=1)


def step_counts(steps: int, pixels: int, device: torch.device) -> Int[Tensor, " step"]:
    """Return round(k / steps x pixels) for k = 0..steps, each number once."""
    k = torch.arange(steps + 1, device=device, dtype=torch.float64)
    # round half up: Python's and torch's rounding to even would make uneven steps.
    return torch.unique((k * pixels / steps + 0.5).floor().long())


def trapezoid(y: Float[Tensor, "batch step"], x: Float[Tensor, "batch step"]) -> PerImage:
    """Return the area under each row by the trapezoid rule over the true abscissae, in float64."""
    return torch.trapezoid(y.double(), x.double(), dim=1)
