"""Krippendorff's alpha over images against its coincidence matrix, and against Kendall's W."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, rankdata

from xaibench.leaderboards.raters import alpha

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C: four coders, twelve
# units; 0 stands for a missing value. Ordinal alpha is 0.815 there.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]


def literal_alpha(raters):
    """One less observed over expected disagreement, value by value; None for a missing one."""
    units = [[v for v in unit if v is not None] for unit in zip(*raters, strict=True)]
    domain = sorted({v for unit in units for v in unit})
    coincidences = {(c, k): 0.0 for c in domain for k in domain}
    for unit in units:
        for i, j in itertools.permutations(range(len(unit)), 2):
            coincidences[unit[i], unit[j]] += 1 / (len(unit) - 1)
    n = {c: sum(coincidences[c, k] for k in domain) for c in domain}

    def distance(c, k):
        between = sum(n[g] for g in domain if min(c, k) <= g <= max(c, k))
        return (between - (n[c] + n[k]) / 2) ** 2

    observed = sum(coincidences[pair] * distance(*pair) for pair in coincidences)
    expected = sum(n[c] * n[k] * distance(c, k) for c, k in coincidences)
    return 1 - (sum(n.values()) - 1) * observed / expected


def test_the_literal_twin_gives_what_is_published():
    raters = [[v or None for v in row] for row in PUBLISHED]
    assert literal_alpha(raters) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_its_literal_twin_with_ties(seed):
    values = np.random.default_rng(seed).integers(0, 4, (7, 5)).astype(float)
    ranks = [list(rankdata(row)) for row in values]
    found, explainers, images, reason = alpha(values)
    assert found == pytest.approx(literal_alpha(ranks))
    assert (explainers, images, reason) == (5, 7, None)


def test_without_ties_it_follows_from_kendalls_w():
    values = np.random.default_rng(1).random((30, 6)) + np.linspace(0, 1, 6)
    rows, explainers = values.shape
    w = friedmanchisquare(*values.T).statistic / (rows * (explainers - 1))
    n = rows * explainers
    expected = 1 - (1 - w) * rows / (rows - 1) * (n - 1) / n
    assert alpha(values)[0] == pytest.approx(expected)


def test_images_that_agree_give_one_and_two_that_are_reversed_less_than_none():
    order = np.arange(5.0)
    assert alpha(np.stack([order, 2 * order, order**3]))[0] == pytest.approx(1)
    assert alpha(np.stack([order, -order]))[0] == pytest.approx(1 - 2 * 9 / 10)


def test_orders_with_nothing_in_common_give_about_none():
    assert alpha(np.random.default_rng(0).random((2000, 8)))[0] == pytest.approx(0, abs=0.01)


def test_only_images_with_a_value_of_every_explainer_count():
    values = np.random.default_rng(0).random((9, 4))
    spoilt = values.copy()
    spoilt[[2, 5], [0, 3]] = np.nan
    found, explainers, images, _ = alpha(spoilt)
    assert (explainers, images) == (4, 7)
    assert found == alpha(np.delete(values, [2, 5], axis=0))[0]


def test_an_explainer_without_any_value_is_left_out():
    values = np.random.default_rng(0).random((9, 4))
    values[:, 1] = np.nan
    assert alpha(values)[:3] == alpha(np.delete(values, 1, axis=1))[:3]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.ones((5, 4)), "every explainer ties with every other on every image"),
        (np.eye(5, 2), "too few explainers to compare rankings (2; 3 are needed)"),
        (np.eye(1, 4), "too few images with a value of every explainer (1; 2 are needed)"),
        (np.full((5, 4), np.nan), "too few explainers to compare rankings (0; 3 are needed)"),
    ],
)
def test_a_missing_alpha_has_its_reason(values, why):
    found, *_, reason = alpha(values)
    assert np.isnan(found)
    assert reason == why


def test_twenty_metrics_of_five_thousand_images_take_no_time():
    values = np.random.default_rng(0).random((5000, 20))
    started = time.perf_counter()
    for _ in range(20):
        alpha(values)
    assert time.perf_counter() - started < 2
