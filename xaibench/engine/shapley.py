"""Shapley values: which coalitions of segments are asked, and what follows from their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Seeds
from xaibench.randomness import COALITION_MEMBERS, COALITION_SIZES, random_uniform


@dataclass(frozen=True)
class Coalitions:
    """Coalitions of segments of each image.

    Attributes:
        kept: the members; False behind an image's own segments.
        weights: in the regression; 0 behind an image's own number of coalitions.
        counts: coalitions of each image.
    """

    kept: Bool[Tensor, "image coalition segment"]
    weights: Float[Tensor, "image coalition"]
    counts: Int[Tensor, " image"]


def coalitions(seeds: Seeds, numbers: Int[Tensor, " batch"], most: int, paired: bool) -> Coalitions:
    """Return every coalition but the empty and the full one, or ``most`` drawn from the kernel.

    All of M segments are 2^M - 2; where these are more than ``most``, a coalition's size z is
    drawn in proportion to 1 / (z (M - z)) and then its members, all sets of a size alike. Those
    weigh 1 each; of all, each has its kernel (M - 1) / (C(M, z) z (M - z)).

    Args:
        numbers: segments of each image.
        paired: every second one is the complement of the one before it.
    """
    counts = coalition_counts(numbers, most)
    every = _enumerated(numbers, most)[:, None]
    row = torch.arange(int(counts.max()), device=seeds.device)
    segment = torch.arange(int(numbers.max()), device=seeds.device)
    real = segment < numbers[:, None]
    bits = ((row[:, None] + 1) >> segment.clamp(max=62)) & 1 > 0
    kept = bits.expand(len(numbers), -1, -1)
    if not every.all():
        drawn = _drawn(seeds, numbers, -(-most // 2) if paired else most)
        drawn = torch.stack([drawn, ~drawn], dim=2).flatten(1, 2) if paired else drawn
        kept = torch.where(every[:, :, None], kept, drawn[:, : len(row)])
    kept = kept & real[:, None]
    size, m = kept.sum(2).double(), numbers[:, None].double()
    ways = ((m + 1).lgamma() - (size + 1).lgamma() - (m - size + 1).lgamma()).exp()
    weights = torch.where(every, (m - 1) / (ways * size * (m - size)), 1.0)
    return Coalitions(kept, weights.masked_fill(row >= counts[:, None], 0), counts)


def coalition_counts(numbers: Int[Tensor, " batch"], most: int) -> Int[Tensor, " batch"]:
    """Return how many coalitions ``coalitions`` gives for so many segments."""
    every = 2 ** numbers.clamp(max=62) - 2
    return torch.where(_enumerated(numbers, most), every, most)


def _enumerated(numbers: Int[Tensor, " batch"], most: int) -> Bool[Tensor, " batch"]:
    return numbers <= math.floor(math.log2(most + 2))


def _drawn(
    seeds: Seeds, numbers: Int[Tensor, " batch"], draws: int
) -> Bool[Tensor, "batch draw segment"]:
    segment = torch.arange(int(numbers.max()), device=seeds.device)
    real = segment < numbers[:, None]
    size = segment[1:].double()
    share = (1 / (size * (numbers[:, None] - size))).masked_fill(~real[:, 1:], 0).cumsum(1)
    at = random_uniform(seeds, draws, COALITION_SIZES)
    sizes = 1 + torch.searchsorted(share / share[:, -1:], at, right=True)
    sizes = torch.minimum(sizes, numbers[:, None] - 1)
    # A number belongs to a draw and a segment of the image's own, whatever the batch's most.
    places = torch.arange(draws, device=seeds.device)[:, None] * numbers[:, None, None]
    places = (places + segment).clamp(max=draws * len(segment) - 1)
    keys = random_uniform(seeds, draws * len(segment), COALITION_MEMBERS)
    keys = keys.gather(1, places.flatten(1)).view(places.shape)
    order = keys.masked_fill(~real[:, None], torch.inf).argsort(dim=2, stable=True)
    first = segment < sizes[:, :, None]
    return torch.zeros_like(first).scatter(2, order, first)


def shapley_values(
    kept: Bool[Tensor, "image sample segment"],
    weights: Float[Tensor, "image sample"],
    gains: Float[Tensor, "image sample"],
    everything: Float[Tensor, " image"],
    numbers: Int[Tensor, " image"],
) -> Float[Tensor, "image segment"]:
    """Return the constrained weighted least squares of all images at once, in float64.

    In phi = total / M + psi with sum psi = 0, the constraint is a projection P = I - 11' / M:
    psi = (P X' W X P)^+ P X' W (y - total / M X 1), the shortest where samples leave it open.

    Args:
        kept: False behind an image's own segments, whose values are 0.
        gains: score of each copy less that of the fill alone.
        everything: score of the whole image less that of the fill alone.
        numbers: each image's own number of segments.
    """
    x = kept.double()
    real = (torch.arange(x.shape[2], device=x.device) < numbers[:, None]).double()
    share = everything.double() / numbers
    rest = gains.double() - x.sum(2) * share[:, None]
    apart = torch.diag_embed(real) - real[:, :, None] * real[:, None] / numbers[:, None, None]
    weighted = (weights.double()[:, :, None] * x).mT
    inverse = torch.linalg.pinv(apart @ (weighted @ x) @ apart, rtol=1e-10, hermitian=True)
    psi = apart @ (inverse @ (apart @ (weighted @ rest[:, :, None])))
    return share[:, None] * real + psi[:, :, 0]
