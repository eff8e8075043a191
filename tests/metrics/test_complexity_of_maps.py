"""Sparseness, complexity and effective complexity: literal twins, closed forms, Quantus."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.metrics.complexity import Complexity
from xaibench.metrics.effective_complexity import EffectiveComplexity
from xaibench.metrics.sparseness import Sparseness

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus")

METRICS = [Sparseness(), Complexity(), EffectiveComplexity(), EffectiveComplexity(eps=0.3)]


def values(metric, maps: torch.Tensor) -> list[float]:
    model, batch = toy_model(), toy_batch(images=len(maps))
    found = metric.score(model, batch, maps).values[metric.name].tolist()
    assert (model.passes.forward, model.passes.backward) == (0, 0)
    assert metric.cost(model, batch) == model.passes
    return found


def random_maps(shape=(4, 9, 7)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def one_pixel() -> torch.Tensor:
    maps = torch.zeros(1, 9, 7)
    maps[0, 3, 5] = -2
    return maps


def halves() -> torch.Tensor:
    """Half of the pixels hold everything, equally."""
    maps = torch.zeros(1, 4, 6)
    maps[0, :, ::2], maps[0, :2, ::2] = 3, -3
    return maps


def test_sparseness_equals_the_mean_difference_of_all_pairs():
    """Gini: sum_ij |v_i - v_j| / (2 n^2 mean(v))."""
    maps = random_maps()
    for value, relevance in zip(values(Sparseness(), maps), maps.abs().flatten(1), strict=True):
        v = relevance.tolist()
        pairs = sum(abs(a - b) for a in v for b in v)
        assert value == pytest.approx(pairs / (2 * len(v) * sum(v)), abs=1e-9)


def test_complexity_equals_a_loop_over_pixels():
    maps = random_maps()
    for value, relevance in zip(values(Complexity(), maps), maps.abs().flatten(1), strict=True):
        shares = [v / sum(relevance.tolist()) for v in relevance.tolist()]
        assert value == pytest.approx(-sum(p * math.log(p) for p in shares), abs=1e-9)


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.25])
def test_effective_complexity_equals_a_loop_over_pixels(eps):
    maps = random_maps()
    maps[:, 2:5] = 0
    for value, relevance in zip(
        values(EffectiveComplexity(eps), maps), maps.abs().flatten(1), strict=True
    ):
        v = relevance.tolist()
        assert value == sum(each > eps * max(v) for each in v)


def test_closed_forms():
    assert values(Sparseness(), one_pixel()) == pytest.approx([1 - 1 / 63])
    assert values(Complexity(), one_pixel()) == [0]
    assert values(EffectiveComplexity(), one_pixel()) == [1]
    assert values(Sparseness(), halves()) == pytest.approx([0.5])
    assert values(Complexity(), halves()) == pytest.approx([math.log(12)])
    assert values(EffectiveComplexity(), halves()) == [12]
    equal = torch.full((1, 4, 6), -0.2)
    assert values(Sparseness(), equal) == pytest.approx([0], abs=1e-12)
    assert values(Complexity(), equal) == pytest.approx([math.log(24)])
    assert values(EffectiveComplexity(), equal) == [24]


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_scale_and_sign_do_not_matter(metric):
    maps = random_maps()
    assert values(metric, maps) == pytest.approx(values(metric, -7 * maps), rel=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_a_map_of_zeros_has_no_value_and_says_why(metric):
    scores = metric.score(toy_model(), toy_batch(images=1), torch.zeros(1, 5, 5))
    assert math.isnan(scores.values[metric.name].item())
    assert scores.undefined[metric.name] == "all relevance is zero"


@pytest.mark.parametrize(
    ("metric", "peer", "tolerance"),
    [
        # Its 1e-7 on each value, and its 1e-12 in the logarithm.
        (Sparseness(), quantus.Sparseness, 1e-5),
        (Complexity(), quantus.Complexity, 1e-5),
        (EffectiveComplexity(), quantus.EffectiveComplexity, 0),
    ],
    ids=["sparseness", "complexity", "effective_complexity"],
)
def test_equals_quantus_image_by_image(metric, peer, tolerance):
    maps = random_maps((3, 16, 12))
    theirs = [
        peer(disable_warnings=True)(
            model=None,
            x_batch=np.zeros((1, 1, 16, 12), np.float32),
            y_batch=np.zeros(1, int),
            a_batch=each[None, None].double().numpy(),
        )[0]
        for each in maps
    ]
    assert values(metric, maps) == pytest.approx(theirs, abs=tolerance)


def test_protocols():
    assert Sparseness().protocol("sparseness", "") == "sparseness[relevance=absolute]"
    assert Complexity().protocol("complexity", "") == "complexity[relevance=absolute,unit=nats]"
    said = "effective_complexity[eps=1e-05,relevance=absolute]"
    assert EffectiveComplexity().protocol("effective_complexity", "") == said
    directions = [m.direction(m.name) for m in METRICS]
    assert directions == [True, False, False, False]
