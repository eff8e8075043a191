"""Means over images with intervals and p-values, by a bootstrap of whole groups.

Resamples draw patients or slides, not images, with the same resamples for every column. Intervals
are percentile intervals; the two-sided p-value of a mean is the share of recentred resampled means
at least as far from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

BLOCK = 2_000_000  # resamples x groups drawn at once: 16 MB of counts


def resampled_means(
    values: np.ndarray, groups: Sequence[str], resamples: int, seed: int
) -> np.ndarray:
    """Return the means over rows of resampled groups, (resamples, K); NaN where no row has a value.

    Args:
        values: (I, K), one row an image; NaN where there is none.
        groups: (I,), the patient or slide of each row.
    """
    codes, names = pd.factorize(np.asarray(groups), sort=True)
    known = np.isfinite(values)
    sums = np.zeros((len(names), values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, codes, np.where(known, values, 0.0))
    np.add.at(counts, codes, known)
    with np.errstate(invalid="ignore"):
        blocks = [
            (drawn @ sums) / (drawn @ counts)
            for drawn in draws(len(names), resamples, np.random.default_rng(seed))
        ]
    return np.concatenate(blocks)


def draws(
    groups: int, resamples: int, rng: np.random.Generator, size: int | None = None
) -> Iterator[np.ndarray]:
    """Yield how often each group was drawn, (block, groups), until there are ``resamples`` rows.

    Args:
        size: numbers that the caller makes of one row, where they are more than the groups; the
            blocks are small enough for them.
    """
    step = max(1, BLOCK // (size or groups))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=count).astype(float)


def interval(means: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval over axis 0, NaN in a column that has no mean at all."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(means, tails, axis=0)
    # The quantile that skips NaN is slow, and few columns need it.
    partly = np.isnan(low) & np.isfinite(means).any(axis=0)
    if partly.any():
        low[partly], high[partly] = np.nanquantile(means[:, partly], tails, axis=0)
    return low, high


def _column_means(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)


def estimate(
    values: np.ndarray, groups: Sequence[str], resamples: int, seed: int, confidence: float
) -> dict[str, np.ndarray]:
    """Mean, interval and recentred two-sided p-value of each column; (K,) each."""
    mean = _column_means(values)
    means = resampled_means(values, groups, resamples, seed)
    present = [len(set(np.asarray(groups)[np.isfinite(column)])) for column in values.T]
    means[:, np.asarray(present) < 2] = np.nan  # one group says nothing about the spread
    low, high = interval(means, confidence)
    drawn = np.isfinite(means)
    # The slack keeps rounding from making a difference of exactly 0 look significant.
    far = (np.abs(means - mean) >= np.abs(mean) - 1e-12) & drawn
    p = np.where(drawn.any(axis=0), (1 + far.sum(axis=0)) / (1 + drawn.sum(axis=0)), np.nan)
    return {"mean": mean, "low": low, "high": high, "p": p, "n_groups": np.asarray(present)}


def of_rows(rows: pd.DataFrame, resamples: int, seed: int, confidence: float) -> dict[str, object]:
    """Return what the values of some rows come to: one row of a table.

    ``mean`` with ``low`` and ``high`` (NaN with fewer than two groups), ``n`` values in
    ``n_groups`` groups, of ``rows``, and ``protocol``.

    Args:
        rows: columns value, group, image, protocol.
    """
    values = rows["value"].astype(float).to_numpy()[:, None]
    groups = rows["group"].fillna(rows["image"]).to_list()
    told = estimate(values, groups, resamples, seed, confidence)
    found = {key: told[key][0] for key in ("mean", "low", "high", "n_groups")}
    counts = {"n": int(np.isfinite(values).sum()), "rows": len(rows)}
    return found | counts | {"protocol": rows["protocol"].iloc[0], "confidence": confidence}
