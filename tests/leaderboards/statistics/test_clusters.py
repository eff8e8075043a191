"""Cluster-robust means against the papers' matrices, and a closed form of equal groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xaibench.leaderboards.statistics.clusters import Clusters


def sample(sizes, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    values = rng.normal(size=(len(groups), columns)) + rng.normal(size=(len(sizes), 1)).repeat(
        sizes, axis=0
    )
    order = rng.permutation(len(groups))
    return values[order], groups[order]


def literal(y, groups):
    """CR2 of an intercept with an identity working model, from whole matrices."""
    known = np.isfinite(y)
    y, groups = y[known], np.asarray(groups)[known]
    count = len(y)
    design = np.ones((count, 1))
    bread = np.linalg.inv(design.T @ design)
    hat = design @ bread @ design.T
    residual = y - hat @ y
    variance, vectors = 0.0, []
    for name in sorted(set(groups)):
        at = groups == name
        inner = np.eye(at.sum()) - hat[np.ix_(at, at)]
        values, basis = np.linalg.eigh(inner)
        adjust = basis @ np.diag(values**-0.5) @ basis.T
        score = (bread @ design[at].T @ adjust) @ residual[at]
        variance += float(score[0]) ** 2
        vectors.append(((np.eye(count) - hat)[at].T @ adjust @ design[at] @ bread)[:, 0])
    gram = np.array(vectors) @ np.array(vectors).T
    return y.mean(), variance, np.trace(gram) ** 2 / (gram**2).sum()


@pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [1, 2, 3, 8, 1], [1] * 6, [5, 1]])
@pytest.mark.parametrize("missing", [False, True])
def test_mean_variance_and_degrees_of_freedom_are_the_matrices(sizes, missing):
    values, groups = sample(sizes)
    if missing:
        values[::4, 1] = np.nan
    found = Clusters.of(values, groups)
    for k in range(values.shape[1]):
        mean, variance, df = literal(values[:, k], groups)
        assert found.mean[k] == pytest.approx(mean)
        assert found.variance[k] == pytest.approx(variance)
        assert found.df[k] == pytest.approx(df)


def test_equal_groups_are_a_t_test_of_the_group_means():
    values, groups = sample([4] * 7, columns=1)
    found = Clusters.of(values, groups)
    means = [values[groups == name].mean() for name in sorted(set(groups))]
    told = stats.ttest_1samp(means, 0.0)
    assert found.mean[0] / np.sqrt(found.variance[0]) == pytest.approx(told.statistic)
    assert found.df[0] == pytest.approx(6)


def test_copies_of_the_images_tell_no_more():
    values, groups = sample([1, 2, 3, 4, 5])
    twice = Clusters.of(np.concatenate([values, values]), np.concatenate([groups, groups]))
    once = Clusters.of(values, groups)
    np.testing.assert_allclose(twice.variance, once.variance)
    np.testing.assert_allclose(twice.df, once.df)


def test_one_group_and_no_value_have_no_variance():
    values = np.array([[1.0, np.nan], [2.0, np.nan]])
    found = Clusters.of(values, ["a", "a"])
    assert found.mean[0] == 1.5
    assert np.isnan([found.variance[0], found.mean[1], found.variance[1]]).all()
    assert found.groups.tolist() == [1, 0]


def test_columns_are_taken_and_put_side_by_side():
    values, groups = sample([2, 3, 4])
    whole = Clusters.of(values, groups)
    parts = [Clusters.of(values[:, :1], groups), Clusters.of(values[:, 1:], groups)]
    np.testing.assert_array_equal(Clusters.beside(parts).sums, whole.sums)
    np.testing.assert_array_equal(whole.take(np.array([2])).mean, whole.mean[2:])
