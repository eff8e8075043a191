"""Random images with the right labels and masks beside them."""

from __future__ import annotations

import numpy as np
import pytest
from toy_data import ToySplit, toy

from xaibench.imaging.inspection.samples import draw_sample, label_text
from xaibench.progress import SilentProgress

NAN = np.nan


@pytest.fixture
def data():
    labels = np.array([[1, 0, 0.5], [0, 0, 0], [NAN, NAN, NAN], [0, 1, NAN]], np.float32)
    return toy(
        "multilabel",
        ("mass", "nodule", "hernia"),
        train=ToySplit("train", np.tile(labels, (5, 1)), masked=[0, 3, 7]),
        test=ToySplit("test", labels, masked=[0]),
    )


def drawn(data, count, seed=0, **options):
    return draw_sample(data, count, seed, SilentProgress(), **options)


def test_a_row_tells_of_its_own_image(data):
    sample = drawn(data, 24)
    assert len(sample.table) == 24
    assert len(set(sample.table["id"])) == 24
    for at, row in sample.table.iterrows():
        split = data.splits[row["split"]]
        assert row["id"] == split.ids[row["index"]]
        assert row["label"] == label_text(data, split.labels[row["index"]])
        np.testing.assert_array_equal(sample.images[at], split.pixels[row["index"]])


def test_masks_are_united_over_an_images_labels(data):
    sample = drawn(data, 24)
    assert list(sample.masks) == ["row"]  # a mask that is empty everywhere is none
    for at, row in sample.table.iterrows():
        split, index = data.splits[row["split"]], row["index"]
        expected = np.zeros((8, 8), bool)
        if index in split.masked:
            for target, value in enumerate(split.labels[index]):
                expected[target] = value > 0  # NaN is not
        np.testing.assert_array_equal(sample.masks["row"][at], expected)


def test_only_images_with_a_mask(data):
    sample = drawn(data, 24, masked=True)
    found = set(zip(sample.table["split"], sample.table["index"], strict=True))
    assert found == {("train", 0), ("train", 3), ("train", 7), ("test", 0)}
    assert len(drawn(data, 2, masked=True).table) == 2


def test_no_image_with_a_mask():
    data = toy(train=ToySplit("train", [0, 1]))
    sample = drawn(data, 24, masked=True)
    assert (len(sample.table), sample.images.shape, sample.masks) == (0, (0, 8, 8, 1), {})


def test_a_seed_draws_the_same_and_another_others(data):
    first, same, other = (list(drawn(data, 6, seed).table["id"]) for seed in (3, 3, 4))
    assert first == same
    assert first != other


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ([1, 0, 0], "mass"),
        ([1, 0.25, NAN], "mass, nodule 0.25"),
        ([0, NAN, 0], "none"),
        ([NAN, NAN, NAN], "unknown"),
    ],
)
def test_labels_are_told_in_words(data, label, text):
    assert label_text(data, np.array(label, np.float32)) == text


def test_a_class_is_told_by_its_name():
    assert label_text(toy(), np.int64(1)) == "b"
