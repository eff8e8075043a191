"""Likeness of two maps, against scipy and scikit-image image by image."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from xaibench.engine.likeness import LIKENESSES, likenesses, unrelated_maps


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    one, other = torch.randn(2, 70, 16, 20, generator=generator)  # more than are compared at once
    one[1] = (one[1] * 2).round()  # ties
    other[2] = other[2].clamp_min(0)  # half of it one tie
    one[3] *= 1e-6
    return one, 0.5 * one + other


def literal(one: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    a, b = one.double().numpy(), other.double().numpy()
    unit = [(m - m.min()) / (m.max() - m.min()) for m in (a, b)]
    return {
        "spearman": spearmanr(a.ravel(), b.ravel()).statistic,
        "spearman_abs": spearmanr(abs(a).ravel(), abs(b).ravel()).statistic,
        "ssim": structural_similarity(*unit, data_range=1.0),
    }


def test_equals_scipy_and_scikit_image(pair):
    one, other = pair
    found = likenesses(one, [other, one.flip(0)])
    for i in [0, 1, 2, 3, 40, 69]:
        for like, maps in zip(found, (other, one.flip(0)), strict=True):
            twin = literal(one[i], maps[i])
            assert {how: like[how][i].item() for how in LIKENESSES} == pytest.approx(twin, abs=1e-9)


def test_a_map_is_like_itself_and_the_reverse_of_its_negative(pair):
    one, _ = pair
    same, negative = likenesses(one, [one.clone(), -one])
    for how in LIKENESSES:
        assert same[how].numpy() == pytest.approx(1.0, abs=1e-12)
    assert negative["spearman"].numpy() == pytest.approx(-1.0, abs=1e-12)
    assert negative["spearman_abs"].numpy() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("spoilt", [0, 1])
def test_constant_and_infinite_maps_are_like_nothing(pair, spoilt):
    maps = [pair[0][:4].clone(), pair[1][:4].clone()]
    maps[spoilt][0] = 1.0
    maps[spoilt][2, 0, 0] = torch.inf
    maps[spoilt][3, 1, 1] = torch.nan
    (like,) = likenesses(maps[0], maps[1:])
    for how in LIKENESSES:
        assert like[how].isnan().tolist() == [True, False, True, True]


def test_unrelated_maps_are_like_nothing_on_average(pair):
    """Rank correlations of 70 maps of 320 pixels: mean 0 within 4 standard errors."""
    one, _ = pair
    seeds = torch.arange(70)
    unrelated = unrelated_maps(one, seeds)
    assert torch.equal(unrelated[[7]], unrelated_maps(one[[7]], seeds[[7]]))
    (like,) = likenesses(one, [unrelated])
    assert abs(like["spearman"].mean().item()) < 4 / (70 * 319) ** 0.5
    assert like["spearman"].std().item() == pytest.approx(319**-0.5, rel=0.35)
