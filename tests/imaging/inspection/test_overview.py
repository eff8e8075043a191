"""A data set on one screen, whatever its labels are."""

from __future__ import annotations

from math import nan

import numpy as np
from toy_data import ToySplit, toy

from xaibench.imaging.inspection.overview import headline, overview


def lines(data) -> list[list[str]]:
    table = overview(data)
    return [
        ["", *table.columns],
        *([name, *row] for name, row in zip(table.index, table.to_numpy(), strict=True)),
    ]


def test_classes_are_counted_by_split():
    train, test = ToySplit("train", [0, 0, 1, 1], ["p", "p", "q", "r"]), ToySplit("test", [1])
    data = toy(train=train, test=test)
    assert headline(data) == "toy: 5 images, two classes (binary), 8x8x1"
    assert lines(data) == [
        ["", "train", "test", "all"],
        ["images", "4", "1", "5"],
        ["patients", "3", "1", "4"],
        ["height x width", "8 x 8", "8 x 8", "8 x 8"],
        ["a", "2 (50.0%)", "0 (0.0%)", "2 (40.0%)"],
        ["b", "2 (50.0%)", "1 (100.0%)", "3 (60.0%)"],
    ]


def test_labels_that_are_uncertain_or_unknown_are_said_where_there_are_any():
    labels = np.array([[1, nan], [0.5, nan], [0, nan]], np.float32)
    *_, mass, nodule = lines(toy("multilabel", ("mass", "nodule"), train=ToySplit("train", labels)))
    assert mass[1] == "1 (33.3%), 1 uncertain"
    assert nodule[1] == "0, 3 missing"


def test_of_numbers_mean_and_range_are_said():
    train = ToySplit("train", np.array([[20.0], [60.0], [nan]], np.float32))
    test = ToySplit("test", np.array([[nan]], np.float32))
    data = toy("regression", ("age",), train=train, test=test)
    assert headline(data).startswith("toy: 4 images, numbers (regression)")
    assert lines(data)[-1] == [
        "age",
        "40 (20 to 60), 1 missing",
        "none known, 1 missing",
        "40 (20 to 60), 2 missing",
    ]
