"""SLIC superpixels: dense labels, grey images, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.segmentation import slic

from xaibench.checks import toy_batch
from xaibench.config import SegmentOptions
from xaibench.segments import superpixels


@pytest.mark.parametrize("n_segments", [1, 8, 50, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_labels_are_dense(n_segments, channels):
    images = toy_batch(channels).images
    segments = superpixels(images, SegmentOptions(n_segments=n_segments))
    assert segments.shape == (5, 32, 32)
    assert segments.dtype == torch.int64
    for labels in segments:
        assert labels.unique().tolist() == list(range(int(labels.max()) + 1))


def test_equals_scikit_image_up_to_numbering():
    images = toy_batch().images
    options = SegmentOptions(n_segments=12, compactness=5.0, sigma=0.5, lab=True)
    for image, labels in zip(images, superpixels(images, options), strict=True):
        peer = slic(
            image.permute(1, 2, 0).numpy(), n_segments=12, compactness=5, sigma=0.5, start_label=0
        )
        pairs = {*zip(peer.ravel().tolist(), labels.flatten().tolist(), strict=True)}
        assert len(pairs) == len(np.unique(peer)) == int(labels.max()) + 1


@pytest.mark.parametrize("lab", [False, True])
def test_a_grey_image_is_three_equal_channels(lab):
    grey = toy_batch(channels=1).images
    options = SegmentOptions(lab=lab)
    assert torch.equal(superpixels(grey, options), superpixels(grey.repeat(1, 3, 1, 1), options))


def test_deterministic_and_image_by_image():
    images = toy_batch().images
    whole = superpixels(images, SegmentOptions())
    assert torch.equal(whole, superpixels(images.clone(), SegmentOptions()))
    assert torch.equal(whole[[3]], superpixels(images[[3]], SegmentOptions()))


def test_a_blank_image_has_segments_too():
    labels = superpixels(torch.zeros(1, 3, 32, 32), SegmentOptions(n_segments=16))[0]
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
