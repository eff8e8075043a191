"""Augmentation against torchvision, image by image, and its independence of the batch."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as twin

from xaibench.training.augment import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    augment,
    flip,
    rotate,
)
from xaibench.training.options import AugmentOptions

SEEDS = torch.arange(24)
NONE = {"horizontal_flip": 0, "rotation": 0, "color_jitter": 0}


@pytest.fixture(params=[1, 3], ids=["grey", "rgb"])
def images(request: pytest.FixtureRequest) -> torch.Tensor:
    return torch.rand(24, request.param, 16, 12, generator=torch.Generator().manual_seed(0))


def test_nothing_asked_for_changes_nothing(images: torch.Tensor) -> None:
    assert torch.equal(augment(images, SEEDS, AugmentOptions(**NONE)), images)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colours_change_as_in_torchvision(images: torch.Tensor, name: str) -> None:
    ours = {
        "brightness": adjust_brightness,
        "contrast": adjust_contrast,
        "saturation": adjust_saturation,
    }[name]
    factors = torch.linspace(0.3, 1.7, len(images))
    got = ours(images, factors)
    theirs = getattr(twin, f"adjust_{name}")
    for image, factor, changed in zip(images, factors.tolist(), got, strict=True):
        torch.testing.assert_close(changed, theirs(image, factor), rtol=0, atol=2e-6)


def test_flip_is_torchvisions(images: torch.Tensor) -> None:
    assert torch.equal(flip(images), twin.horizontal_flip(images))


def test_rotation_is_torchvisions_where_no_border_is_seen(images: torch.Tensor) -> None:
    angles = torch.linspace(-20, 20, len(images))
    got = rotate(images, angles)
    for image, angle, turned in zip(images, angles.tolist(), got, strict=True):
        bilinear = twin.InterpolationMode.BILINEAR
        expected = twin.rotate(image, angle, interpolation=bilinear)
        torch.testing.assert_close(
            turned[:, 4:-4, 4:-4], expected[:, 4:-4, 4:-4], atol=1e-4, rtol=0
        )


def test_a_quarter_turn_is_exact() -> None:
    images = torch.rand(1, 1, 8, 8)
    turned = rotate(images, torch.tensor([90.0]))
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_rotation_repeats_the_edge_and_brings_in_no_black() -> None:
    white = torch.ones(1, 3, 16, 16)
    torch.testing.assert_close(rotate(white, torch.tensor([30.0])), white)


def test_an_image_is_changed_alike_in_any_batch(images: torch.Tensor) -> None:
    options = AugmentOptions()
    whole = augment(images, SEEDS, options)
    alone = [augment(images[i : i + 1], SEEDS[i : i + 1], options) for i in range(24)]
    order = torch.randperm(24)
    torch.testing.assert_close(torch.cat(alone), whole, atol=1e-6, rtol=0)
    permuted = augment(images[order], SEEDS[order], options)
    torch.testing.assert_close(permuted, whole[order], atol=1e-6, rtol=0)


def test_the_output_stays_in_range(images: torch.Tensor) -> None:
    extreme = images.round()
    out = augment(extreme, SEEDS, AugmentOptions(color_jitter=0.9, color_jitter_probability=1))
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1


def test_each_image_has_its_own_draw() -> None:
    same = torch.rand(1, 3, 16, 16).expand(64, -1, -1, -1)
    out = augment(same, torch.arange(64), AugmentOptions())
    assert len(torch.unique(out.flatten(1), dim=0)) == 64


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_a_flip_happens_as_often_as_asked(chance: float) -> None:
    images = torch.tensor([0.0, 1.0]).expand(4000, 1, 1, 2)
    options = AugmentOptions(**(NONE | {"horizontal_flip": chance}))
    flipped = augment(images, torch.arange(4000), options)[:, 0, 0, 0]
    # 0.03 is four standard errors of a share among 4,000.
    assert flipped.mean().item() == pytest.approx(chance, abs=0.03)


@pytest.mark.parametrize("part", ["rotation", "color_jitter"])
def test_a_probability_of_zero_leaves_images_alone(images: torch.Tensor, part: str) -> None:
    options = AugmentOptions(**NONE | {part: 0.9, f"{part}_probability": 0})
    assert torch.equal(augment(images, SEEDS, options), images)
