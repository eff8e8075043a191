"""Likeness of two maps, against scipy image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from xaibench.metrics.label_randomisation import LabelRandomisation


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    one, other = torch.randn(2, 4, 16, 16, generator=generator)
    one[1] = (one[1] * 2).round()  # ties
    return one, 0.5 * one + other


def test_equals_scipy_and_skimage(pair):
    one, other = pair
    values = LabelRandomisation().compare(one, other).values
    for i, (a, b) in enumerate(zip(one.double().numpy(), other.double().numpy(), strict=True)):
        signed = spearmanr(a.ravel(), b.ravel()).statistic
        absolute = spearmanr(abs(a).ravel(), abs(b).ravel()).statistic
        unit = [(m - m.min()) / (m.max() - m.min()) for m in (a, b)]
        ssim = structural_similarity(*unit, data_range=1.0)
        assert values["label_randomisation@spearman"][i] == pytest.approx(signed, abs=1e-10)
        assert values["label_randomisation@spearman_abs"][i] == pytest.approx(absolute, abs=1e-10)
        assert values["label_randomisation@ssim"][i] == pytest.approx(ssim, abs=1e-10)


def test_a_map_that_stays_the_same_scores_one(pair):
    values = LabelRandomisation().compare(pair[0], pair[0].clone()).values
    for value in values.values():
        np.testing.assert_allclose(value, 1.0, atol=1e-9)


def test_constant_and_infinite_maps_are_undefined(pair):
    one, other = pair[0].clone(), pair[1].clone()
    one[0] = 1.0
    other[2, 0, 0] = torch.inf
    scores = LabelRandomisation().compare(one, other)
    for name, value in scores.values.items():
        assert value.isnan().tolist() == [True, False, True, False]
        assert name in scores.undefined
