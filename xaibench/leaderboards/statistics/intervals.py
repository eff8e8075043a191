"""Intervals of means over clustered rows that hold for few groups and for skewed or bounded values.

Which one is used depends on what the values can be; each was chosen by simulation
(``benchmarks/coverage.py``):

- values with two bounds (nearly every metric): t interval of the mean's log-odds, with the
  cluster-robust standard error by the delta method and Satterthwaite's degrees of freedom;
- values of 0 or 1 alone, and means on a bound: Clopper and Pearson's of the effective number of
  images (Korn and Graubard 1998, Survey Methodology 24(2));
- values without bounds: bootstrap-t of whole groups (Hall 1988, Annals of Statistics 16(3)), which
  follows their skewness.

What covers too rarely is not given: NaN with fewer than ``MIN_BOUNDED`` groups or ``MIN_DF``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.types import MIN_GROUPS

MIN_BOUNDED = 4
MIN_DF = MIN_GROUPS - 1
"""Degrees of freedom that values without bounds need; a group that outweighs others leaves few."""
RESAMPLES = 1999


def mean_interval(
    clusters: Clusters,
    bounds: np.ndarray,
    binary: np.ndarray,
    confidence: float,
    *,
    added: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends (K,) of the interval of each column's mean; NaN where none would hold.

    Args:
        bounds: (K, 2), smallest and largest possible value; infinite or NaN for none.
        binary: (K,), whether every value lies on one of its bounds.
        added: (K,), to the variances, where more than groups varies (``seeds.crossed``); values
            without bounds then have a t interval.
    """
    variance = clusters.variance if added is None else clusters.variance + added
    low, high = np.full((2, len(clusters.mean)), np.nan)
    bounded = np.isfinite(bounds).all(axis=1)
    some = bounded & (clusters.groups >= MIN_BOUNDED)
    few = clusters.take(some)
    low[some], high[some] = _bounded(few, variance[some], bounds[some], binary[some], confidence)
    free = ~bounded & (clusters.df >= MIN_DF - 1e-9)
    if free.any():
        few = clusters.take(free)
        low[free], high[free] = (
            _bootstrap_t(few, confidence, resamples, seed)
            if added is None
            else t_interval(few.mean, variance[free], few.df, confidence)
        )
    return low, high


def bounds_of(columns: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Return (K, 2): the bounds that metrics declare; NaN where a value lies beyond them.

    Args:
        columns: a row a column of ``values``, with bound_low and bound_high where they are told.
    """
    bounds = columns.reindex(columns=["bound_low", "bound_high"]).to_numpy(dtype=float, copy=True)
    with np.errstate(invalid="ignore"):
        beyond = (values < bounds[:, 0]) | (values > bounds[:, 1])
    bounds[beyond.any(axis=0)] = np.nan
    return bounds


def binary(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return (K,): whether every value lies on one of its bounds."""
    on = (values == bounds[:, 0]) | (values == bounds[:, 1])
    return (on | ~np.isfinite(values)).all(axis=0)


def t_interval(
    mean: np.ndarray, variance: np.ndarray, df: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean -+ t x standard error."""
    half = stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance)
    return mean - half, mean + half


def _bounded(
    clusters: Clusters,
    variance: np.ndarray,
    bounds: np.ndarray,
    binary: np.ndarray,
    confidence: float,
) -> tuple[np.ndarray, np.ndarray]:
    floor, width = bounds[:, 0], np.ptp(bounds, axis=1)
    # Rounding may put a mean beyond its bound by a hair.
    share = np.clip((clusters.mean - floor) / width, 0.0, 1.0)
    variance = variance / width**2
    inside = (share > 0) & (share < 1)
    slope = np.where(inside, share * (1 - share), 1.0)
    centre = logit(np.where(inside, share, 0.5))
    ends = t_interval(centre, variance / slope**2, clusters.df, confidence)
    counted = binary | ~inside | ~(variance > 0)
    counts = _proportion(share, variance, clusters, confidence)
    low, high = (np.where(counted, own, expit(end)) for own, end in zip(counts, ends, strict=True))
    return floor + width * low, floor + width * high


def _proportion(
    share: np.ndarray, variance: np.ndarray, clusters: Clusters, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return Clopper and Pearson's interval of a share of the effective number of images.

    That is share (1 - share) / variance, corrected for the degrees of freedom as Korn and Graubard
    do, and the number of groups where there is no spread: images of one patient may all be alike.
    """
    tail = (1 + confidence) / 2
    images = stats.t.ppf(tail, np.maximum(clusters.n - 1, 1))
    some = variance > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        count = share * (1 - share) / variance * (images / stats.t.ppf(tail, clusters.df)) ** 2
    effective = np.where(some, np.minimum(count, clusters.n), clusters.groups)
    return proportion_confint(share * effective, effective, alpha=1 - confidence, method="beta")


def _bootstrap_t(
    clusters: Clusters, confidence: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap-t interval: the mean less quantiles of resampled t x standard error."""
    groups = len(clusters.sums)
    chosen = np.random.default_rng(seed).integers(0, groups, (resamples, groups))
    chosen += groups * np.arange(resamples)[:, None]
    # How often each group was drawn, a row a resample.
    drawn = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape).astype(float)
    n, sums = drawn @ clusters.counts, drawn @ clusters.sums
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / n
        squares = drawn @ clusters.sums**2 - 2 * means * (drawn @ (clusters.sums * clusters.counts))
        squares += means**2 * (drawn @ clusters.counts**2)
        # CR1 of each resample; a constant factor leaves the quantiles of t where they are.
        error = np.sqrt(np.maximum(squares, 0)) / n * np.sqrt(groups / (groups - 1))
        t = (means - clusters.mean) / error
    t[~np.isfinite(t)] = np.nan
    tails = [(1 + confidence) / 2, (1 - confidence) / 2]
    error = np.sqrt(clusters.variance)
    t[:, error == 0] = 0.0  # nothing to take quantiles of
    upper, lower = np.nanquantile(t, tails, axis=0)
    error[error == 0] = np.nan  # equal values do not tell how far they may be apart
    return clusters.mean - upper * error, clusters.mean - lower * error
