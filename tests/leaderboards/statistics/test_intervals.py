"""Intervals of means against their formulas, written out one column at a time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.intervals import binary, bounds_of, mean_interval

FREE, UNIT, SIGNED = (-np.inf, np.inf), (0.0, 1.0), (-1.0, 1.0)


def interval(values, groups, bounds, **options):
    values = np.asarray(values, dtype=float)[:, None]
    limits = np.array([bounds], dtype=float)
    clusters = Clusters.of(values, groups)
    low, high = mean_interval(clusters, limits, binary(values, limits), 0.95, **options)
    return low[0], high[0], clusters


def groups_of(count, size=2):
    return np.repeat([f"g{i}" for i in range(count)], size)


@pytest.mark.parametrize("bounds", [UNIT, SIGNED])
def test_bounded_values_have_the_interval_of_the_log_odds(bounds):
    rng = np.random.default_rng(0)
    floor, width = bounds[0], bounds[1] - bounds[0]
    values = floor + width * rng.beta(2, 5, size=16)
    low, high, clusters = interval(values, groups_of(8), bounds)
    share = (clusters.mean[0] - floor) / width
    error = math.sqrt(clusters.variance[0]) / width / (share * (1 - share))
    centre, t = math.log(share / (1 - share)), stats.t.ppf(0.975, clusters.df[0])
    ends = [1 / (1 + math.exp(-(centre + sign * t * error))) for sign in (-1, 1)]
    assert [low, high] == pytest.approx([floor + width * end for end in ends])
    assert bounds[0] < low < clusters.mean[0] < high < bounds[1]


def test_nothing_but_ones_is_clopper_and_pearson_of_the_groups():
    low, high, _ = interval(np.ones(20), groups_of(10), UNIT)
    told = stats.binomtest(10, 10).proportion_ci(method="exact")
    assert [low, high] == pytest.approx([told.low, told.high])


def test_zeros_and_ones_have_an_effective_number_of_images():
    values = np.array([1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 1.0])
    low, high, clusters = interval(values, groups_of(8), UNIT)
    share, t = values.mean(), stats.t.ppf(0.975, [15, clusters.df[0]])
    count = min(share * (1 - share) / clusters.variance[0] * (t[0] / t[1]) ** 2, 16)
    hits = share * count
    assert low == pytest.approx(stats.beta.ppf(0.025, hits, count - hits + 1))
    assert high == pytest.approx(stats.beta.ppf(0.975, hits + 1, count - hits))


def test_free_values_have_the_bootstrap_t_of_whole_groups():
    rng = np.random.default_rng(1)
    groups = np.repeat([f"g{i}" for i in range(9)], [1, 2, 3] * 3)
    values = rng.exponential(size=len(groups))
    low, high, clusters = interval(values, groups, FREE, resamples=200, seed=3)
    names, found = sorted(set(groups)), []
    for drawn in np.random.default_rng(3).integers(0, 9, (200, 9)):
        times = [list(drawn).count(place) for place in range(9)]
        sums = [
            values[groups == n].sum() for n, k in zip(names, times, strict=True) for _ in range(k)
        ]
        counts = [(groups == n).sum() for n, k in zip(names, times, strict=True) for _ in range(k)]
        mean = sum(sums) / sum(counts)
        squares = sum((s - c * mean) ** 2 for s, c in zip(sums, counts, strict=True))
        error = math.sqrt(squares * 9 / 8) / sum(counts)
        if error > 1e-12:
            found.append((mean - clusters.mean[0]) / error)
    error = math.sqrt(clusters.variance[0])
    upper, lower = np.quantile(found, [0.975, 0.025])
    assert [low, high] == pytest.approx(
        [clusters.mean[0] - upper * error, clusters.mean[0] - lower * error]
    )
    # To the right of a right-skewed sample's mean there is more room.
    assert high - clusters.mean[0] > clusters.mean[0] - low


@pytest.mark.parametrize(("bounds", "least"), [(UNIT, 4), (FREE, 6)])
def test_what_would_not_cover_is_not_given(bounds, least):
    rng = np.random.default_rng(2)
    for count in (1, 2, least - 1, least):
        low, high, _ = interval(rng.random(2 * count), groups_of(count), bounds)
        assert np.isfinite([low, high]).all() == (count >= least)


def test_a_group_that_outweighs_the_others_leaves_too_few():
    sizes = [8, 1, 1, 2, 3, 1, 1, 2]
    groups = np.repeat([f"g{i}" for i in range(8)], sizes)
    values = np.random.default_rng(5).random(len(groups))
    low, _, clusters = interval(values, groups, FREE)
    assert clusters.df[0] < 5
    assert np.isnan(low)
    assert np.isfinite(interval(values, groups, UNIT)[0])


def test_what_varies_beside_groups_widens_the_interval():
    values = np.random.default_rng(3).random(16)
    narrow = interval(values, groups_of(8), UNIT)
    wide = interval(values, groups_of(8), UNIT, added=3 * narrow[2].variance)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    free = interval(values, groups_of(8), FREE, added=3 * narrow[2].variance)
    half = stats.t.ppf(0.975, 7) * 2 * math.sqrt(narrow[2].variance[0])
    assert [free[0], free[1]] == pytest.approx([values.mean() - half, values.mean() + half])


def test_values_beyond_their_bounds_have_none():
    values = np.array([[0.5, 0.5], [0.2, 1.2]])
    columns = pd.DataFrame({"bound_low": [0.0, 0.0], "bound_high": [1.0, 1.0]})
    found = bounds_of(columns, values)
    assert found[0].tolist() == [0, 1]
    assert np.isnan(found[1]).all()
    assert np.isnan(bounds_of(pd.DataFrame(index=range(2)), values)).all()
    assert binary(np.array([[0.0, 0.5], [np.nan, 1.0]]), found.clip(0, 1))[0]


def test_free_values_without_spread_have_no_interval():
    low, high, _ = interval(np.full(16, 2.5), groups_of(8), FREE)
    assert np.isnan([low, high]).all()
