"""Curves: the score as pixels fall to the fill, or rise from it, and the area under them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xaibench.engine.batch import Batch, Maps, PerImage
from xaibench.engine.by_segment import segment_sums
from xaibench.engine.fills import Fill
from xaibench.engine.masks import RankMasks
from xaibench.engine.passed_once import block_scores
from xaibench.engine.ranking import grid_segments, pixel_ranks, segment_ranks
from xaibench.engine.shared import filled_score, unmasked_score
from xaibench.models.base import Classifier
from xaibench.types import Space

Counts = Int[Tensor, " step"]
"""Pixels, or regions, that are gone at each step."""


@dataclass(frozen=True)
class Curve:
    """The points of each image's curve; NaN behind an image's own number of points."""

    x: Float[Tensor, "batch step"]
    y: Float[Tensor, "batch step"]


def removal_curve(
    model: Classifier,
    batch: Batch,
    maps: Maps,
    counts: Counts,
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
    ranks = pixel_ranks(maps, batch.seeds, least_first=least_first)
    inner = counts[1:-1].expand(len(batch), -1)
    masks = RankMasks(ranks, inner, torch.full_like(batch.targets, inner.shape[1]), keep=insert)
    scores = block_scores(model, batch, masks, fill, space)
    ends = [unmasked_score(model, batch, space), filled_score(model, batch, fill, space)]
    first, last = reversed(ends) if insert else ends
    return torch.cat([first[:, None], scores, last[:, None]], dim=1)


def segment_curve(
    model: Classifier,
    batch: Batch,
    relevance: Float[Tensor, "batch segment"],
    *,
    fill: Fill,
    space: Space,
    least_first: bool = False,
) -> tuple[Float[Tensor, "batch step"], Int[Tensor, "batch segment"]]:
    """Return the score after 0, 1, ... K of the batch's segments are gone, and their order.

    The most relevant segment goes first, ties in the image's own random order; both ends are
    shared. NaN behind an image's own segments.

    Args:
        relevance: of each segment; NaN behind an image's own segments.
        least_first: the same order from its other end.
    """
    counts = batch.segments.flatten(1).amax(1) + 1
    ranks, order = segment_ranks(relevance, batch.segments, batch.seeds, least_first=least_first)
    gone = torch.arange(1, order.shape[1] + 1, device=order.device).expand_as(order)
    inner = block_scores(model, batch, RankMasks(ranks, gone, counts - 1), fill, space)
    scores = inner.new_full((len(batch), order.shape[1] + 1), torch.nan)
    scores[:, 1 : 1 + inner.shape[1]] = inner
    scores[:, 0] = unmasked_score(model, batch, space)
    last = filled_score(model, batch, fill, space)
    return scores.scatter(1, counts[:, None], last[:, None]), order


def region_curve(
    model: Classifier,
    batch: Batch,
    maps: Maps,
    counts: Counts,
    *,
    side: int,
    fill: Fill,
    space: Space,
) -> Float[Tensor, "batch step"]:
    """Return the score as squares of ``side`` pixels fall to the fill, by falling sum of relevance.

    Args:
        counts: squares gone at each step, rising from 0; the grid starts at the top left and is cut
            at the border.
    """
    grid = grid_segments(tuple(maps.shape[1:]), side, maps.device)
    grids, regions = grid.expand_as(maps), int(grid.max()) + 1
    ranks, _ = segment_ranks(segment_sums(maps, grids), grids, batch.seeds)
    ends = int(counts[-1]) == regions
    inner = (counts[1:-1] if ends else counts[1:]).expand(len(batch), -1)
    masks = RankMasks(ranks, inner, torch.full_like(batch.targets, inner.shape[1]))
    scores = [unmasked_score(model, batch, space)[:, None]]
    if inner.shape[1]:
        scores.append(block_scores(model, batch, masks, fill, space))
    if ends:
        scores.append(filled_score(model, batch, fill, space)[:, None])
    return torch.cat(scores, dim=1)


def step_counts(steps: int, pixels: int, device: torch.device) -> Counts:
    """Return round(k / steps x pixels) for k = 0..steps, each number once."""
    k = torch.arange(steps + 1, device=device, dtype=torch.float64)
    # round half up: Python's and torch's rounding to even would make uneven steps.
    return torch.unique((k * pixels / steps + 0.5).floor().long())


def trapezoid(y: Float[Tensor, "batch step"], x: Float[Tensor, "batch step"]) -> PerImage:
    """Return the area under each row by the trapezoid rule over the true abscissae, in float64."""
    return torch.trapezoid(y.double(), x.double(), dim=1)


def area_under(y: Float[Tensor, "batch step"], x: Float[Tensor, "batch step"]) -> PerImage:
    """Return ``trapezoid`` of curves of different lengths, x NaN behind an image's own points."""
    # Behind its last point a curve is padded with that point: strips of no width.
    last = x.isfinite().sum(1, keepdim=True) - 1
    at = torch.arange(x.shape[1], device=x.device).minimum(last)
    return trapezoid(y.gather(1, at), x.gather(1, at))
