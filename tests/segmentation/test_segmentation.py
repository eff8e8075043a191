"""SLIC superpixels: dense labels, grey images, determinism, ids; the contract of a segmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from skimage.segmentation import slic

from xaibench.checks.stage import toy_batch
from xaibench.config.sections import SegmentOptions
from xaibench.errors import PluginError
from xaibench.segmentation.base import Segmentation
from xaibench.segmentation.slic import Slic

SLIC = Slic(n_segments=12, compactness=10.0, sigma=1.0, lab=False)


def images(channels: int = 3) -> np.ndarray:
    return toy_batch(channels).images.numpy()


def is_dense(labels: np.ndarray) -> bool:
    return np.unique(labels).tolist() == list(range(labels.max() + 1))


@pytest.mark.parametrize("n_segments", [1, 8, 50, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_labels_are_dense(n_segments, channels):
    for image in images(channels):
        labels = replace(SLIC, n_segments=n_segments)(image, 0)
        assert labels.shape == (32, 32)
        assert is_dense(labels)


def test_equals_scikit_image_up_to_numbering():
    ours = Slic(n_segments=12, compactness=5.0, sigma=0.5, lab=True)
    for image in images():
        labels = ours(image, 0)
        peer = slic(
            image.transpose(1, 2, 0), n_segments=12, compactness=5, sigma=0.5, start_label=0
        )
        pairs = {*zip(peer.ravel().tolist(), labels.ravel().tolist(), strict=True)}
        assert len(pairs) == len(np.unique(peer)) == labels.max() + 1


@pytest.mark.parametrize("lab", [False, True])
def test_a_grey_image_is_three_equal_channels(lab):
    segmentation = replace(SLIC, lab=lab)
    for grey in images(channels=1):
        assert np.array_equal(segmentation(grey, 0), segmentation(np.repeat(grey, 3, axis=0), 0))


def test_the_seed_says_nothing():
    image = images()[0]
    assert np.array_equal(SLIC(image, 0), SLIC(image.copy(), 7))


def test_a_blank_image_has_segments_too():
    assert is_dense(SLIC(np.zeros((3, 32, 32), np.float32), 0))


def test_each_parameter_and_the_version_make_another_id(monkeypatch):
    others = [{"n_segments": 13}, {"compactness": 10.000001}, {"sigma": 0.0}, {"lab": True}]
    ids = {SLIC.id, *(replace(SLIC, **other).id for other in others)}
    assert len(ids) == 5
    monkeypatch.setattr("skimage.__version__", "0.0.0")
    assert SLIC.id not in ids


@dataclass(frozen=True)
class Given(Segmentation):
    """Whatever labels one gives it."""

    labels: np.ndarray
    id = "given"

    def segment(self, image, seed):
        return self.labels


def test_any_numbering_becomes_one_without_gaps():
    given = Given(np.array([[7, -3], [7, 900]], np.int32))
    assert given(np.zeros((3, 2, 2), np.float32), 0).tolist() == [[1, 0], [1, 2]]


def test_labels_of_another_size_are_the_plugin_s_mistake():
    with pytest.raises(PluginError, match=r"given: labels of shape \(2, 3\), must be \(2, 2\)"):
        Given(np.zeros((2, 3), np.int64))(np.zeros((3, 2, 2), np.float32), 0)


@pytest.mark.parametrize(("lab", "follows"), [(SegmentOptions().lab, True), (False, False)])
def test_the_default_follows_the_borders_of_tissue(lab, follows):
    """In RGB colours lie too close for compactness 10, whose superpixels are a grid of squares."""
    row, column = np.mgrid[:96, :96]
    nucleus = (row - 40) ** 2 + (column - 52) ** 2 < 30**2
    stained = np.where(nucleus, [[[0.35]], [[0.2]], [[0.5]]], [[[0.85]], [[0.6]], [[0.75]]])
    labels = Slic(**SegmentOptions().model_dump() | {"lab": lab})(stained.astype(np.float32), 0)
    inside = np.bincount(labels.ravel(), nucleus.ravel()) / np.bincount(labels.ravel())
    mixed = ((inside > 0.1) & (inside < 0.9)).sum()
    assert (mixed <= 2) == follows
    boxes = [np.ptp(np.argwhere(labels == k), axis=0) + 1 for k in range(labels.max() + 1)]
    filled = [np.sum(labels == k) / np.prod(box) for k, box in enumerate(boxes)]
    assert (np.mean(filled) > 0.99) != follows
