"""Tie letters and rank intervals of small tables of pairs, worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards.statistics.ranks import best_group, rank_intervals, tie_letters

NAMES = ["a", "b", "c", "d"]


def pairs(*sure: str, tested: bool = True) -> pd.DataFrame:
    """Return all pairs of four; ``"ac"``: a is better than c beyond chance."""
    rows = []
    for one, other in itertools.combinations(NAMES, 2):
        better = one if one + other in sure else other if other + one in sure else None
        rows.append({"a": one, "b": other, "better": better, "p": 0.01 if better else 0.5})
    table = pd.DataFrame(rows)
    return table if tested else table.assign(p=np.nan)


def test_letters_are_shared_by_what_cannot_be_told_apart():
    # a, b, c and c, d: c belongs to both.
    assert tie_letters(pairs("ad", "bd"), NAMES) == {"a": "a", "b": "a", "c": "ab", "d": "b"}
    assert tie_letters(pairs(), NAMES) == dict.fromkeys(NAMES, "a")
    every = [one + other for one, other in itertools.combinations(NAMES, 2)]
    assert tie_letters(pairs(*every), NAMES) == dict(zip(NAMES, "abcd", strict=True))
    assert tie_letters(pairs(tested=False), NAMES) == dict.fromkeys(NAMES, "")


def test_letters_never_join_what_was_told_apart():
    rng = np.random.default_rng(0)
    every = [one + other for one, other in itertools.combinations(NAMES, 2)]
    for _ in range(50):
        sure = [pair for pair in every if rng.random() < 0.4]
        letters = tie_letters(pairs(*sure), NAMES)
        for one, other in itertools.combinations(NAMES, 2):
            assert bool(set(letters[one]) & set(letters[other])) == (one + other not in sure)


def test_ranks_that_may_be_true():
    found = rank_intervals(pairs("ad", "bd"), NAMES)
    assert found.to_numpy().tolist() == [[1, 3], [1, 3], [1, 4], [3, 4]]
    assert rank_intervals(pairs(), NAMES).to_numpy().tolist() == [[1, 4]] * 4


def test_the_best_group_is_all_that_is_not_worse_than_the_best():
    assert best_group(pairs("ad", "bd"), NAMES) == {"a", "b", "c"}
    assert best_group(pairs("ad", "bd"), ["b", "d"]) == {"b"}  # controls left out
    assert best_group(pairs(tested=False), NAMES) == set()
    assert best_group(pairs(), []) == set()


@pytest.mark.parametrize("count", [27, 60])
def test_there_are_letters_for_many_groups(count):
    names = [f"e{i}" for i in range(count)]
    rows = [{"a": a, "b": b, "better": a, "p": 0.01} for a, b in itertools.combinations(names, 2)]
    assert len(set(tie_letters(pd.DataFrame(rows), names).values())) == count
