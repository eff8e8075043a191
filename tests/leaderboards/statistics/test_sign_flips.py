"""Sign flips with the largest |t| against slow loops, an exact test and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.sign_flips import MIN_GROUPS, max_t, signs


def differences(groups=7, columns=4, size=3, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    names = np.repeat([f"g{i}" for i in range(groups)], size)
    values = rng.normal(size=(len(names), columns)) + rng.normal(size=(groups, columns)).repeat(
        size, axis=0
    )
    return values + shift, names


def literal(values, names):
    """Every flip of every group, by the rows themselves; stepped down by name."""
    order = sorted(set(names))
    seen = []
    for flip in itertools.product([1.0, -1.0], repeat=len(order)):
        factor = np.array([flip[order.index(name)] for name in names])
        flipped = Clusters.of(values * factor[:, None], names)
        seen.append(np.abs(flipped.mean / np.sqrt(flipped.variance)))
    observed = seen[0]
    falling = sorted(range(len(observed)), key=lambda k: -observed[k])
    p, worst = {}, 0.0
    for place, k in enumerate(falling):
        left = falling[place:]
        hits = sum(max(row[j] for j in left) >= observed[k] - 1e-9 for row in seen)
        worst = max(worst, hits / len(seen))
        p[k] = worst
    return observed, [p[k] for k in range(len(observed))]


@pytest.mark.parametrize("shift", [0.0, [0.0, 0.5, 2.0, 4.0]])
@pytest.mark.parametrize("missing", [False, True])
def test_p_values_are_their_literal_twin(shift, missing):
    values, names = differences(shift=np.asarray(shift))
    if missing:
        values[::5, 2] = np.nan
    found = max_t(Clusters.of(values, names))
    observed, p = literal(values, names)
    np.testing.assert_allclose(np.abs(found.t), observed)
    np.testing.assert_allclose(found.p, p)


def test_one_difference_is_the_exact_permutation_test():
    values, names = differences(groups=8, columns=1, shift=0.6)
    sums = Clusters.of(values, names).sums[:, 0]
    told = stats.permutation_test(
        (sums,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert max_t(Clusters.of(values, names)).p[0] == pytest.approx(told.pvalue)


@pytest.mark.parametrize("groups", [6, 7, 9])
def test_no_p_value_is_below_what_so_many_groups_allow(groups):
    values, names = differences(groups=groups, shift=100.0)
    found = max_t(Clusters.of(values, names))
    np.testing.assert_allclose(found.p, 2 / 2**groups)


def test_few_groups_are_not_tested():
    values, names = differences(groups=MIN_GROUPS - 1, shift=100.0)
    found = max_t(Clusters.of(values, names))
    assert np.isnan(found.p).all()
    assert np.isnan(found.half).all()
    values, names = differences(groups=8, shift=100.0)
    values[names > "g4", 1] = np.nan  # five groups are left to this one
    found = max_t(Clusters.of(values, names))
    assert np.isnan(found.p[1])
    assert (found.p[[0, 2, 3]] < 0.05).all()


def test_equal_scores_are_not_different_and_a_constant_difference_is():
    names = [f"g{i}" for i in range(8)]
    found = max_t(Clusters.of(np.column_stack([np.zeros(8), np.full(8, 0.1)]), names))
    assert (found.t[0], found.p[0]) == (0, 1)
    assert (found.t[1], found.p[1]) == (np.inf, 2 / 2**8)


def test_drawn_flips_agree_with_all_of_them():
    values, names = differences(groups=13, shift=0.4)
    every = max_t(Clusters.of(values, names), flips=5000)
    drawn = max_t(Clusters.of(values, names), flips=3000, seed=1)
    np.testing.assert_allclose(drawn.p, every.p, atol=0.03)
    assert len(signs(13, 5000, 0)) == 2**12
    assert len(signs(13, 3000, 0)) == 3001


def test_the_intervals_exclude_what_the_first_step_rejects():
    for seed in range(20):
        values, names = differences(groups=6, shift=0.8, seed=seed)
        clusters = Clusters.of(values, names)
        found = max_t(clusters)
        outside = np.abs(clusters.mean) > found.half
        assert outside.any() == (found.p.min() <= 0.05)
        ratio = found.half / np.sqrt(clusters.variance)
        np.testing.assert_allclose(ratio, ratio[0])


def test_a_spread_that_was_hardly_seen_gives_no_interval():
    values = np.zeros((24, 2))
    values[:10, 0] = 1.0
    values[:9, 1] = 1.0  # 15 of 24 groups do not differ at all
    found = max_t(Clusters.of(values, [f"g{i:02d}" for i in range(24)]))
    assert np.isfinite(found.half[0])
    assert np.isnan(found.half[1])
    assert np.isfinite(found.p).all()


def test_single_precision_says_the_same(monkeypatch):
    values, names = differences(groups=20, shift=0.3)
    values[::7, 0] = np.nan
    exact = max_t(Clusters.of(values, names))
    monkeypatch.setattr("xaibench.leaderboards.statistics.sign_flips._LARGE", 1)
    single = max_t(Clusters.of(values, names))
    np.testing.assert_allclose(single.t, exact.t, rtol=1e-4)
    np.testing.assert_allclose(single.p, exact.p, atol=1e-3)


def test_blocks_of_flips_change_nothing(monkeypatch):
    values, names = differences(groups=9)
    whole = max_t(Clusters.of(values, names))
    monkeypatch.setattr("xaibench.leaderboards.statistics.sign_flips._BLOCK", 50)
    np.testing.assert_array_equal(max_t(Clusters.of(values, names)).p, whole.p)
