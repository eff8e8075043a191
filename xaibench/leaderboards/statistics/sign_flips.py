"""Tests of many mean differences at once, by sign flips of whole groups and the largest |t|.

If a difference has no direction, each group's sum is as likely to have its opposite sign. Flipping
the signs of whole groups, of all differences together, so gives what their t would be by chance;
the largest of them says how large any of so many may be. Source: Westfall and Young 1993, chapter
2, and Romano and Wolf 2005, Econometrica 73(4), for the largest t and stepping down; Canay, Romano
and Shaikh 2017, Econometrica 85(3), for few groups. With G groups no p-value is below 2 / 2^G.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.types import MIN_GROUPS

MIN_DIFFERING = 10
FLIPS = 4999
_BLOCK = 4_000_000  # flips x columns at once: 32 MB an array
_LARGE = 2e10  # flips x groups x columns above which single precision does
_SLACK = 1e-5  # of single precision: what is equal but for rounding is equal


@dataclass(frozen=True, eq=False)
class Tested:
    """What a family of K differences comes to; NaN where one was not tested.

    Attributes:
        t: the mean over its standard error; infinite where there is no spread.
        p: of the two-sided test, so that among all K the chance of any false one is kept.
        half: half-widths of simultaneous intervals of the means: standard errors times the |t|
            that the first step needs. NaN where some groups do not differ at all and fewer than
            ``MIN_DIFFERING`` do: a spread that was hardly seen is not known.
    """

    t: np.ndarray
    p: np.ndarray
    half: np.ndarray


def signs(groups: int, flips: int, seed: int) -> np.ndarray:
    """Return rows of signs (F, G), the first all +1: every flip where they are few, else a draw.

    Of a row and its opposite, which give the same |t|, every flip holds one: 2^(G-1) rows.
    """
    if groups - 1 <= np.log2(flips + 1):
        bits = (np.arange(2 ** (groups - 1))[:, None] >> np.arange(groups)) & 1
        return (1 - 2 * bits).astype(np.int8)
    drawn = np.random.default_rng(seed).integers(0, 2, (flips, groups), dtype=np.int8)
    return np.concatenate([np.ones((1, groups), np.int8), 1 - 2 * drawn])


def max_t(
    differences: Clusters, *, flips: int = FLIPS, seed: int = 0, level: float = 0.05
) -> Tested:
    """Test every column's mean against 0, with a family-wise error of at most ``level``.

    Columns with fewer than ``MIN_GROUPS`` groups are not tested. p-values are stepped down: the
    largest |t| is compared with the largest of all, the next with the largest of those left.
    """
    known = differences.groups >= MIN_GROUPS
    nothing = np.full(len(known), np.nan)
    if not known.any():
        return Tested(nothing, nothing.copy(), nothing.copy())
    tested = differences if known.all() else differences.take(known)
    rows = signs(len(tested.sums), flips, seed)
    observed = next(_statistics(tested, rows[:1]))[0]
    size = np.abs(observed)
    falling = np.argsort(-size, kind="stable")
    threshold = size[falling] * (1 - _SLACK)
    reached, largest = np.zeros(len(size)), []
    for statistics in _statistics(tested, rows):
        found = np.abs(statistics[:, falling])
        # The largest of those at least as far down: the hypotheses that are left at each step.
        left = np.maximum.accumulate(found[:, ::-1], axis=1)[:, ::-1]
        reached += (left >= threshold).sum(axis=0)
        largest.append(left[:, 0])
    p = np.empty(len(size))
    p[falling] = np.maximum.accumulate(reached / len(rows))
    by_size = np.sort(np.concatenate(largest))[::-1]
    t, told, half = nothing.copy(), nothing.copy(), nothing.copy()
    t[known], told[known] = observed, p
    # A |t| that is its own critical value is not beyond it.
    critical = by_size[int(np.floor(level * len(rows) + 1e-9))] * (1 + _SLACK)
    differing = (differences.sums != 0).sum(axis=0)
    seen = known & (differing >= np.minimum(differences.groups, MIN_DIFFERING))
    if np.isfinite(critical):
        half[seen] = critical * np.sqrt(differences.variance[seen])
    return Tested(t, told, half)


def _statistics(tested: Clusters, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the t of each column under each row of signs, a block of rows at a time."""
    large = rows.shape[0] * tested.sums.size > _LARGE
    kind = np.float32 if large else np.float64
    with np.errstate(divide="ignore"):
        weights = 1 / (1 - tested.shares)
    weighted = weights * tested.counts * tested.sums
    # (S - n m)^2 w, summed: the squares of S stay as they are under every flip.
    squares = (weights * tested.sums**2).sum(axis=0)
    counts = (weights * tested.counts**2).sum(axis=0)
    total = tested.sums.astype(kind)
    weighted = weighted.astype(kind)
    equal = np.ptp(tested.counts) == 0  # then the second product is a multiple of the first
    factor = weights[0, 0] * tested.counts[0, 0] if equal else None
    step = max(1, _BLOCK // tested.sums.shape[1])
    for at in range(0, len(rows), step):
        flipped = rows[at : at + step].astype(kind)
        sums = (flipped @ total).astype(float)
        mean = sums / tested.n
        crossed = factor * sums if equal else (flipped @ weighted).astype(float)
        spread = squares - 2 * mean * crossed + mean**2 * counts
        # What is nothing but rounding is no spread.
        spread = np.where(spread > squares * (1e-5 if large else 1e-12), spread, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = sums / np.sqrt(spread)
        yield np.where(sums == 0, 0.0, t)
