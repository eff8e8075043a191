"""The controls: uniform noise, the Gaussian in the middle, the edges of the image."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from skimage.filters import sobel

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.explainers.center_prior import CenterPrior
from xaibench.explainers.edge import Edge
from xaibench.explainers.random import Random
from xaibench.models.base import PassCount


@pytest.mark.parametrize("explainer", [Random(), CenterPrior(), Edge()])
def test_controls_make_no_pass(explainer):
    explanation = explainer(toy_model(), toy_batch())
    assert explainer.control
    assert explanation.passes == PassCount(0, 0)


def test_random_follows_the_image_seed_alone():
    batch = toy_batch()
    maps = Random()(toy_model(), batch).maps
    assert torch.equal(maps, Random()(toy_model(seed=1), batch).maps)
    assert torch.equal(maps[[3]], Random()(toy_model(), batch.take([3])).maps)
    reseeded = Random()(toy_model(), replace(batch, seeds=batch.seeds + 1)).maps
    assert not torch.isclose(maps, reseeded).any(dim=(1, 2)).all()
    assert len({m.sum().item() for m in maps}) == len(batch)


def test_random_is_uniform():
    """Mean 1/2 and variance 1/12 over 5 x 1024 numbers, within 4 standard errors."""
    values = Random()(toy_model(), toy_batch()).maps.flatten().double()
    assert values.min() >= 0
    assert values.max() <= 1
    assert abs(values.mean() - 0.5) < 4 * math.sqrt(1 / 12 / len(values))
    assert abs(values.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / len(values))


@pytest.mark.parametrize("sigma", [0.25, 0.6])
def test_center_prior_in_closed_form(sigma):
    """exp(-r^2 / (2 (sigma s)^2)), s the shorter side, for an oblong image."""
    batch = toy_batch(images=2)
    batch = replace(
        batch,
        images=batch.images[..., :20],
        masks={name: mask[..., :20] for name, mask in batch.masks.items()},
        segments=batch.segments[..., :20],
    )
    maps = CenterPrior(sigma)(toy_model(), batch).maps
    for y in range(32):
        for x in range(20):
            squared = (y - 15.5) ** 2 + (x - 9.5) ** 2
            twin = math.exp(-squared / (2 * (sigma * 20) ** 2))
            assert maps[0, y, x].item() == pytest.approx(twin, abs=1e-6)
    assert torch.equal(maps[0], maps[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_edge_is_the_sobel_magnitude_of_scikit_image(channels):
    """Of the mean of the channels, border and scale included."""
    batch = toy_batch(channels)
    maps = Edge()(toy_model(channels=channels), batch).maps
    for image, found in zip(batch.images.double(), maps, strict=True):
        twin = sobel(image.mean(0).numpy())
        assert found.numpy() == pytest.approx(twin, abs=1e-6)


def test_edge_of_a_ramp_in_closed_form():
    """s a pixel gives sqrt(2) s within, and half of it where the image is mirrored."""
    batch, slope = toy_batch(images=1), 0.02
    batch.images.copy_((slope * torch.arange(32)).expand(1, 3, 32, 32))
    (found,) = Edge()(toy_model(), batch).maps
    assert found[:, 1:-1].numpy() == pytest.approx(math.sqrt(2) * slope, abs=1e-6)
    assert found[:, [0, -1]].numpy() == pytest.approx(slope / math.sqrt(2), abs=1e-6)
