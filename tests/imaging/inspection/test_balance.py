"""Splits that lack a class, and shares that differ by more than chance."""

from __future__ import annotations

from math import comb, nan

import numpy as np
import pytest
from toy_data import ToySplit, toy

from xaibench.imaging.inspection.balance import CHANCE, lacking, unequal


def pairs(table) -> list[tuple]:
    return list(table.itertuples(index=False, name=None))


def labels(positives: int, total: int) -> np.ndarray:
    return (np.arange(total) < positives).astype(np.int64)


def test_a_class_that_a_split_lacks_is_named():
    parts = {"train": [0, 1, 2], "valid": [0, 0], "test": [2, 1]}
    data = toy("multiclass", ("a", "b", "c"), **{n: ToySplit(n, v) for n, v in parts.items()})
    assert pairs(lacking(data)) == [
        ("valid", "of class b"),
        ("valid", "of class c"),
        ("test", "of class a"),
    ]


def test_of_several_labels_both_sides_are_needed_and_unknown_is_neither():
    train = np.array([[1, 0], [0, 1]], np.float32)
    test = np.array([[1, nan], [1, nan]], np.float32)
    data = toy("multilabel", train=ToySplit("train", train), test=ToySplit("test", test))
    assert pairs(lacking(data)) == [
        ("test", "without a"),
        ("test", "with b"),
        ("test", "without b"),
    ]


def test_of_numbers_known_ones_are_needed_and_shares_are_none():
    train, test = np.ones((40, 1), np.float32), np.full((40, 1), nan, np.float32)
    train[20:] = 0
    parts = {"train": ToySplit("train", train), "test": ToySplit("test", test)}
    data = toy("regression", ("age",), **parts)
    assert pairs(lacking(data)) == [("test", "with a known age")]
    assert unequal(data).empty


def literal(yes: int, no: int, yes_train: int, no_train: int) -> float:
    """Return Fisher's p: the tables of the same margins that are no likelier than this one."""
    total, whole = yes + no, yes + yes_train
    chance = lambda k: (
        comb(whole, k) * comb(no + no_train, total - k) / comb(whole + no + no_train, total)
    )
    possible = range(max(0, total - no - no_train), min(total, whole) + 1)
    return sum(chance(k) for k in possible if chance(k) <= chance(yes) * (1 + 1e-9))


@pytest.mark.parametrize(
    ("test", "train", "strong"),
    [
        ((40, 50), (50, 100), True),
        ((30, 50), (50, 100), False),  # odds of 1.5
        ((7, 10), (50, 100), False),  # odds of 2.3, but ten images
        ((4000, 10000), (2900, 10000), False),  # odds of 1.6 beyond all chance
        ((5, 100), (50, 100), True),
        ((0, 100), (50, 100), False),  # lacking, which is told apart
    ],
)
def test_shares_differ_strongly_by_odds_and_by_chance(test, train, strong):
    parts = {"train": labels(*train), "test": labels(*test), "valid": labels(*train)}
    data = toy(**{name: ToySplit(name, values) for name, values in parts.items()})
    found = pairs(unequal(data))
    assert found == ([("b", "test", test[0] / test[1], train[0] / train[1])] if strong else [])
    if sum(test) < 1000 and test[0]:
        p = literal(test[0], test[1] - test[0], train[0], train[1] - train[0])
        assert p < CHANCE if strong else test[1] > 10 or p > CHANCE


def test_of_several_classes_each_is_compared():
    parts = {"train": [0, 1, 2] * 40, "test": [0] * 40 + [1, 2] * 3}
    data = toy("multiclass", ("a", "b", "c"), **{n: ToySplit(n, v) for n, v in parts.items()})
    assert [row[:2] for row in pairs(unequal(data))] == [
        ("a", "test"),
        ("b", "test"),
        ("c", "test"),
    ]
