"""Copies of training images: their pixels, labels, number, and that they are of training only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_training import OPTIONS, ArraySplit, fit_toy, toy_data

from xaibench.progress import SilentProgress
from xaibench.training.copies import Copies
from xaibench.training.material import Material
from xaibench.training.options import CopyOptions

BOTH = CopyOptions(flip=True, contrast=1.5)


def _split(dtype=np.uint8, channels: int = 1) -> ArraySplit:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 4, 5, channels)).astype(dtype)
    return ArraySplit(images if dtype == np.uint8 else images / dtype(255), np.array([0, 1, 1]))


def _contrast_twin(image: np.ndarray, factor: float, top: float) -> np.ndarray:
    luma = np.array([0.2989, 0.587, 0.114]) if image.shape[-1] == 3 else np.ones(1)
    mean = (image @ luma).mean()
    changed = np.empty(image.shape)
    for at in np.ndindex(*image.shape):
        changed[at] = min(max(mean + factor * (image[at] - mean), 0), top)
    return changed


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "top", "error"), [(np.uint8, 255, 0.51), (np.float32, 1, 1e-5)])
def test_images_are_followed_by_their_copies(channels, dtype, top, error) -> None:
    split = _split(dtype, channels)
    plain = split.images(np.arange(3))
    found = Copies(split, BOTH).images(np.arange(9))
    assert found.dtype == dtype
    assert np.array_equal(found[:3], plain)
    for i in range(3):
        for x in range(5):
            assert np.array_equal(found[3 + i, :, x], plain[i, :, 4 - x])
        twin = _contrast_twin(plain[i].astype(float), 1.5, top)
        # Rounded to the nearest grey level.
        assert np.abs(found[6 + i] - twin).max() <= error


def test_contrast_of_two_greys_in_closed_form() -> None:
    image = np.array([100, 140], np.uint8).reshape(1, 1, 2, 1)
    copies = Copies(ArraySplit(image, np.zeros(1)), CopyOptions(contrast=1.5))
    assert copies.images(np.array([1])).ravel().tolist() == [90, 150]


def test_any_order_of_indices_and_nothing_is_changed_in_place() -> None:
    split = _split()
    before = split.images(np.arange(3)).copy()
    copies = Copies(split, BOTH)
    whole, order = copies.images(np.arange(9)), np.array([8, 0, 4, 4, 2])
    assert np.array_equal(copies.images(order), whole[order])
    assert np.array_equal(split.images(np.arange(3)), before)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (CopyOptions(), ["i0", "i1", "i2"]),
        (CopyOptions(flip=True), ["i0", "i1", "i2", "i0/flip", "i1/flip", "i2/flip"]),
        (CopyOptions(contrast=2), ["i0", "i1", "i2", *(f"i{i}/contrast" for i in range(3))]),
    ],
)
def test_labels_and_groups_are_those_of_the_image(options, ids) -> None:
    copies = Copies(_split(), options)
    assert copies.ids.tolist() == ids
    assert len(copies) == len(ids) == 3 * copies.times
    assert copies.groups.tolist() == ["i0", "i1", "i2"] * copies.times
    assert copies.labels.tolist() == [0, 1, 1] * copies.times


@pytest.mark.usefixtures("one_thread")
def test_they_count_in_training_and_nowhere_else(tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"copies": BOTH, "epochs": 1})
    data = toy_data()
    _, trained = fit_toy(tmp_path, data=data, options=options)
    assert trained.trained_steps == 20  # 78 images in batches of four
    assert len(data.splits["train"]) == 26


def test_permuted_labels_are_shared_by_the_copies() -> None:
    options = OPTIONS.model_copy(update={"copies": BOTH, "shuffle_labels": True})
    material = Material.of(toy_data(), options, 0, SilentProgress())
    one, two, three = material.train_labels.reshape(3, 26)
    assert one.equal(two)
    assert one.equal(three)
    assert not np.array_equal(one.numpy(), toy_data().splits["train"].labels)
    assert len(material.valid) == len(material.valid_labels) == 16
