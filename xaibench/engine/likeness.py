"""Likeness of two maps of one image: rank correlations and structural similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine.batch import Maps, PerImage, Seeds
from xaibench.randomness import UNRELATED, random_uniform

Likeness = Mapping[str, PerImage]
LIKENESSES = ("spearman", "spearman_abs", "ssim")
WINDOW = 7
"""Side of the windows of the structural similarity; no side of a map may be smaller."""
UNALIKE = "one of the two maps is constant or not finite"
"""Why there may be no likeness."""

_AT_ONCE = 64  # maps in float64: many of them at once would not fit beside a model
_C1, _C2 = 0.01**2, 0.03**2


def likenesses(maps: Maps, others: Sequence[Maps]) -> list[Likeness]:
    """Return how like each map is to the same image's in each of ``others``, by ``LIKENESSES``.

    ``spearman``: rank correlation of the pixels, ties sharing their mean rank; ``spearman_abs``:
    of their absolute values; ``ssim``: structural similarity (Wang et al. 2004) of the maps, each
    scaled to [0, 1], in windows of 7 x 7 pixels without weights and with unbiased covariances, as
    scikit-image does it. In [-1, 1], 1 for equal maps, in float64; NaN where one of the two maps
    is constant or not finite.
    """
    parts = []
    for first in range(0, len(maps), _AT_ONCE):
        at = slice(first, first + _AT_ONCE)
        one = _forms(maps[at])
        parts.append([_alike(one, _forms(other[at])) for other in others])
    return [
        {how: torch.cat([part[k][how] for part in parts]) for how in LIKENESSES}
        for k in range(len(others))
    ]


def unrelated_maps(maps: Maps, seeds: Seeds) -> Maps:
    """Return a map of uniform noise for each map, which has nothing in common with any other."""
    return random_uniform(seeds, maps[0].numel(), UNRELATED).view(maps.shape).float()


def _forms(maps: Maps) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is compared of maps: ranks, ranks of absolute values, values in [0, 1]."""
    flat = maps.flatten(1)
    # Of a map that is not finite nothing is known: NaN goes through all that follows.
    flat = flat.where(flat.isfinite().all(1, keepdim=True), torch.nan)
    low, high = (end.double()[:, None, None] for end in flat.aminmax(dim=1))
    unit = (maps.double() - low) / (high - low)
    signed = centred_ranks(flat)
    return signed, signed if (flat >= 0).all() else centred_ranks(flat.abs()), unit


def _alike(one: tuple[Tensor, Tensor, Tensor], other: tuple[Tensor, Tensor, Tensor]) -> Likeness:
    signed, absolute = (_correlation(a, b) for a, b in zip(one[:2], other[:2], strict=True))
    found = (signed, absolute, _structural_similarity(one[2], other[2]))
    return dict(zip(LIKENESSES, found, strict=True))


def centred_ranks(values: Float[Tensor, "batch pixel"]) -> Float[Tensor, "batch pixel"]:
    """Return each row's ranks less their mean, equal values sharing theirs; NaN rows stay NaN."""
    ordered, index = values.sort(dim=1)
    place = torch.arange(values.shape[1], device=values.device)
    begins = F.pad(ordered[:, 1:] != ordered[:, :-1], (1, 0), value=True)
    ends = F.pad(begins[:, 1:], (0, 1), value=True)
    first = place.where(begins, 0).cummax(1).values
    last = place.where(ends, len(place) - 1).flip(1).cummin(1).values.flip(1)
    ranks = (first + last - (len(place) - 1)).double() / 2
    ranks = ranks.where(ordered.isfinite(), torch.nan)
    return torch.empty_like(ranks).scatter_(1, index, ranks)


def _correlation(a: Float[Tensor, "batch pixel"], b: Float[Tensor, "batch pixel"]) -> PerImage:
    # 0 / 0, and so NaN, where all ranks of a map are equal.
    return (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()


def _structural_similarity(one: Maps, other: Maps) -> PerImage:
    moments = torch.stack([one, other, one * one, other * other, one * other], dim=1)
    # A window's mean is the mean of its columns' means: a third of the work.
    rows = F.avg_pool2d(moments, (WINDOW, 1), stride=1)
    a, b, aa, bb, ab = F.avg_pool2d(rows, (1, WINDOW), stride=1).unbind(1)
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    var_a, var_b, cov = unbiased * (aa - a * a), unbiased * (bb - b * b), unbiased * (ab - a * b)
    means = (2 * a * b + _C1) / (a * a + b * b + _C1)
    return (means * (2 * cov + _C2) / (var_a + var_b + _C2)).mean((1, 2))
