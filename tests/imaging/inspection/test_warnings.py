"""Planted faults are found, and in a sound set nothing is."""

from __future__ import annotations

import numpy as np
from toy_data import ToySplit, toy

from xaibench.imaging.inspection.odd_pictures import odd_pictures
from xaibench.imaging.inspection.warnings import Warned, warnings_of
from xaibench.progress import SilentProgress


def sound():
    parts = {}
    for name, total in (("train", 80), ("valid", 20), ("test", 30)):
        groups = [f"{name} patient {at // 2}" for at in range(total)]
        parts[name] = ToySplit(name, np.arange(total) % 2, groups)
    return toy(**parts)


def found(data) -> list[Warned]:
    return warnings_of(data, odd_pictures(data, SilentProgress()))


def test_in_a_sound_set_nothing_is_found():
    assert found(sound()) == []


def test_every_planted_fault_is_found_and_no_other():
    data = sound()
    train, valid, test = data.splits.values()
    train.groups[3] = "test patient 5"
    test.pixels[7] = train.pixels[1]
    train.pixels[21] = train.pixels[20]
    valid.pixels[4] = 9
    valid.labels[:] = 0
    test.labels[2:28] = 1
    test.groups[8] = test.ids[8]
    assert [warned.what for warned in found(data)] == [
        "patients in more than one split: 1",
        "pictures in more than one split: 1",
        "pictures that stand twice, with different labels: 1",
        "blank pictures: 1",
        "splits that lack something: 1",
        "shares that differ between splits: 1",
        "images of unknown patients: 1 of 130; each counts as a patient of its own, and those of "
        "one patient may be in two splits",
    ]
    assert [warned.cases for warned in found(data)] == [
        ("test patient 5 is in train, test",),
        ("train_1 (train), test_7 (test)",),
        ("train_20 (a), train_21 (b)",),
        ("valid_4 (valid)",),
        ("valid has no image of class b",),
        ("b: 93.3% in test, 50.0% in train",),
        (),
    ]
