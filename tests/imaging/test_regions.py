"""Fixed regions: which pixels each probe hides, pixel by pixel, and what is painted there."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from xaibench.checks.stage import toy_batch
from xaibench.engine import fill_images
from xaibench.imaging.regions import QUADRANTS, filled, probe_mask, probe_names

SIZES = [(8, 8), (9, 7), (32, 20), (21, 33)]


def hidden(name: str, height: int, width: int) -> set[tuple[int, int]]:
    """List the pixels of a probe one by one, from its definition."""
    kind, _, what = name.partition("_")
    everywhere = [(y, x) for y in range(height) for x in range(width)]
    if kind == "quadrant":
        upper = lambda y: y < height // 2
        left = lambda x: x < width // 2
        wanted = (what.startswith("top"), what.endswith("left"))
        return {(y, x) for y, x in everywhere if (upper(y), left(x)) == wanted}
    shorter = min(height, width)
    length = int(what[:-2]) if what.endswith("px") else 0
    length = length or max(1, math.floor(float(what) * shorter + 0.5))
    if kind == "ring":  # fewer than `length` pixels between it and the nearest border
        near = lambda y, x: min(y, x, height - 1 - y, width - 1 - x) < length
        return {(y, x) for y, x in everywhere if near(y, x)}
    top, left = (height - length) // 2, (width - length) // 2
    return {(top + i, left + j) for i in range(length) for j in range(length)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*probe_names(True, (1, 2, 7), (0.1, 0.5, 1.0), (0.01, 0.1, 0.4))])
def test_a_probe_hides_the_pixels_of_its_definition(name, size):
    mask = probe_mask(name, *size)
    assert mask.shape == size
    assert {(int(y), int(x)) for y, x in np.argwhere(mask)} == hidden(name, *size)


@pytest.mark.parametrize("size", SIZES)
def test_quadrants_share_the_image_out(size):
    masks = [probe_mask(f"quadrant_{where}", *size) for where in QUADRANTS]
    assert np.array_equal(np.sum(masks, axis=0), np.ones(size, int))
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert all(mask[corner] for mask, corner in zip(masks, corners, strict=True))


def test_names_say_what_was_asked_for():
    assert probe_names(False, (10, 96), (0.25, 1), (0.1,)) == [
        *("square_10px", "square_96px", "square_0.25", "square_1", "ring_0.1")
    ]
    assert len(probe_names(True, (), (), ())) == 4


FILLS = ["black", "dataset_mean", "image_mean", "blur", "blur(5,1.5)", 0.3, 1.0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fill", FILLS)
def test_the_paint_is_the_engines_fill(fill, channels):
    batch = toy_batch(channels)
    wanted = fill_images(batch, fill).permute(0, 2, 3, 1).numpy()
    images = batch.images.permute(0, 2, 3, 1).numpy()
    mean = batch.dataset_mean.numpy()
    for image, expected in zip(images, wanted, strict=True):
        assert filled(image, fill, mean) == pytest.approx(expected, abs=1e-6)


def test_the_paint_of_a_ramp_is_known():
    ramp = torch.linspace(0, 1, 11).view(1, 11, 1).expand(5, 11, 2).numpy()
    assert filled(ramp, "image_mean", np.zeros(2)) == pytest.approx(np.full((5, 11, 2), 0.5))
    # Far from the border a blur leaves a straight line as it is.
    blurred = filled(ramp, "blur(3,1)", np.zeros(2))
    assert blurred[:, 1:-1] == pytest.approx(ramp[:, 1:-1], abs=1e-6)
