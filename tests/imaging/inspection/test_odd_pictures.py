"""Blank pictures, and pictures that stand in two splits."""

from __future__ import annotations

import numpy as np
from toy_data import ToySplit, toy

from xaibench.imaging.inspection.odd_pictures import odd_pictures
from xaibench.progress import SilentProgress


def make():
    train, test = ToySplit("train", [0] * 300), ToySplit("test", [1] * 6)
    return toy(train=train, test=test), train.pixels, test.pixels


def test_sound_pictures_are_not_odd():
    data, _, _ = make()
    odd = odd_pictures(data, SilentProgress())
    assert (len(odd.blank), len(odd.twice), len(odd.contradictory)) == (0, 0, 0)


def test_blank_pictures_are_named_and_are_no_copies():
    data, train, test = make()
    train[299], test[2] = 7, 7
    odd = odd_pictures(data, SilentProgress())
    assert list(odd.blank["id"]) == ["train_299", "test_2"]
    assert (len(odd.twice), len(odd.contradictory)) == (0, 0)


def test_copies_across_splits_are_told_together_and_those_within_one_are_not():
    data, train, test = make()
    test[4], test[1] = train[280], train[5]
    train[6] = train[5]
    train[8] = train[7]
    twice = odd_pictures(data, SilentProgress()).twice
    pictures = {frozenset(rows["id"]) for _, rows in twice.groupby("picture")}
    assert pictures == {
        frozenset({"train_280", "test_4"}),
        frozenset({"train_5", "train_6", "test_1"}),
    }


def test_one_grey_level_more_is_another_picture():
    data, train, test = make()
    test[0] = train[0]
    test[0, 3, 3] ^= 1
    twice = odd_pictures(data, SilentProgress()).twice
    assert twice.empty
    assert np.abs(test[0].astype(int) - train[0]).sum() == 1


def test_one_picture_with_two_labels_is_told_wherever_it_stands():
    data, train, test = make()
    data.splits["train"].labels[9] = 1
    train[9] = train[8]
    train[11] = train[10]
    test[0] = train[20]
    found = odd_pictures(data, SilentProgress()).contradictory
    pictures = [
        list(zip(rows["id"], rows["label"], strict=True)) for _, rows in found.groupby("picture")
    ]
    assert pictures == [[("train_8", "a"), ("train_9", "b")], [("train_20", "a"), ("test_0", "b")]]
