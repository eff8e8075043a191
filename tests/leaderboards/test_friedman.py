"""Friedman's and Nemenyi's tests against literal twins and a published example."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from robust_scores import means, part_of, rows_of
from scipy.stats import chi2, studentized_range

from xaibench.leaderboards.friedman import friedman, of_part, tables

# Demšar 2006, table 6: AUC of C4.5 and three variants over fourteen data sets. There the mean
# ranks are 3.143, 2.000, 2.893 and 1.964, and the statistic is 9.28. The 0.975 of the last but one
# data set is printed twice, with the ranks 2 and 3.
DEMSAR = pd.DataFrame(
    {
        "C4.5": [763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957],
        "C4.5+m": [768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978],
        "C4.5+cf": [771, 590, 968, 654, 886, 916, 609, 563, 866, 1000, 965, 614, 975.4, 946],
        "C4.5+m+cf": [798, 569, 967, 657, 898, 931, 685, 625, 875, 1000, 962, 669, 975, 970],
    }
)  # fmt: skip


def literal_ranks(row):
    """1 for the largest; ties share the mean of their places."""
    return [
        sum(other > value for other in row) + (sum(other == value for other in row) + 1) / 2
        for value in row
    ]


def test_a_published_example():
    found = friedman(DEMSAR.astype(float))
    assert list(found.ranks) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # Demšar's 9.28 is not corrected for ties, scipy's is.
    ranks = [literal_ranks(row) for row in DEMSAR.to_numpy()]
    n, k = DEMSAR.shape
    plain = 12 * n / (k * (k + 1)) * (sum(found.ranks**2) - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=5e-3)
    ties = sum(row.count(rank) ** 2 - 1 for row in ranks for rank in row)
    assert found.statistic == pytest.approx(plain / (1 - ties / (n * k * (k * k - 1))))
    assert found.p == pytest.approx(chi2.sf(found.statistic, k - 1))
    for a, b in itertools.combinations(DEMSAR, 2):
        q = abs(found.ranks[a] - found.ranks[b]) / math.sqrt(k * (k + 1) / (6 * n))
        expected = studentized_range.sf(q * math.sqrt(2), k, np.inf)
        assert found.pairs.loc[a, b] == pytest.approx(expected)


def test_every_group_in_the_same_order():
    worth = pd.DataFrame(np.tile([3.0, 2.0, 1.0], (6, 1)), columns=list("abc"))
    found = friedman(worth)
    assert found.statistic == pytest.approx(6 * 2)  # n (k - 1), its largest value
    assert list(found.ranks) == [1, 2, 3]


def test_incomplete_groups_are_left_out_and_counted():
    worth = DEMSAR.astype(float)
    spoilt = worth.copy()
    spoilt.loc[3, "C4.5"] = np.nan
    found, without = friedman(spoilt), friedman(worth.drop(index=3))
    assert (found.blocks, found.left_out) == (13, 1)
    assert found.statistic == without.statistic
    pd.testing.assert_frame_equal(found.pairs, without.pairs)


def test_an_explainer_without_any_value_is_left_out():
    worth = DEMSAR.astype(float).assign(gone=np.nan)
    found = friedman(worth)
    assert found.left_out == 0
    assert list(found.ranks.index) == list(DEMSAR)


@pytest.mark.parametrize(
    ("worth", "why"),
    [
        (np.ones((8, 4)), "every explainer ties with every other in every group"),
        (np.eye(8, 2), "too few explainers to compare rankings (2; 3 are needed)"),
        (np.eye(4, 3), "too few groups to test (4; 6 are needed)"),
        (np.full((8, 3), np.nan), "too few explainers to compare rankings (0; 3 are needed)"),
    ],
)
def test_what_is_not_tested_says_why(worth, why):
    found = friedman(pd.DataFrame(worth))
    assert np.isnan([found.statistic, found.p]).all()
    assert found.reason == why
    assert found.pairs.empty


def test_a_block_is_a_group_and_its_value_the_mean_of_its_rows():
    values = means(images=24, noise=0.3, random=0.4, lime=0.5, cam=0.6)
    part = part_of(
        rows_of("deletion", values, higher=False, groups=8),
        rows_of("border_mass", values, higher=None, groups=8),
    )
    found = of_part(part)
    assert list(found) == ["deletion"]  # the other ranks nobody
    each = [[-np.mean(v[g::8]) for v in values.values()] for g in range(8)]
    ranks = np.mean([literal_ranks(row) for row in each], axis=0)
    test = found["deletion"]
    assert list(test.ranks.index) == list(values)
    assert list(test.ranks) == pytest.approx(ranks)
    assert test.blocks == 8


def test_tables_tell_both_tests():
    tested = friedman(DEMSAR.astype(float))
    few = friedman(DEMSAR.astype(float).head(3))
    rows, pairs = tables({"deletion": tested, "insertion": few})
    assert list(rows["metric"]) == ["deletion", "insertion"]
    assert rows.loc[0, "mean_ranks"] == "C4.5+m+cf 1.96; C4.5+m 2.00; C4.5+cf 2.89; C4.5 3.14"
    assert list(rows["explainers"]) == [4, 0]
    assert rows.loc[1, "reason"] == "too few groups to test (3; 6 are needed)"
    assert set(pairs["metric"]) == {"deletion"}
    assert len(pairs) == 6
    assert (pairs["rank_a"] <= pairs["rank_b"]).all()
    first = pairs.iloc[0]
    assert first["p"] == tested.pairs.loc["C4.5+m+cf", "C4.5+m"]
