"""What ours and the peers are given: sizes whose steps agree, models that tell results apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.peer_metrics import features_in_step
from benchmarks.sizes import QUICK, SIZES, on_gpu
from benchmarks.subjects import smooth_noise, subject
from xaibench.engine import step_counts, unmasked_score

EVERY = SIZES | QUICK
CPU = torch.device("cpu")


@pytest.mark.parametrize("size", EVERY.values(), ids=list(EVERY))
def test_steps_divide_what_peers_divide(size):
    pixels = size.pixels**2
    assert pixels % size.steps == 0, "torchcam rounds its steps up"
    each = features_in_step(size)
    assert each * size.flip_steps == size.channels * pixels
    assert pixels % each == 0, "Quantus refuses any other"
    counts = step_counts(size.flip_steps, pixels, CPU)[1:]
    together = (counts * size.channels == each * torch.arange(1, size.flip_steps + 1)).sum()
    assert together >= size.flip_steps // 3


def test_a_gpu_gets_more_of_each():
    size = SIZES["resnet18_96"]
    assert on_gpu(size).most_images > size.most_images
    assert on_gpu(size).steps == size.steps


@pytest.fixture(scope="module", params=QUICK.values(), ids=list(QUICK))
def its(request):
    return subject(request.param, 4, CPU)


def test_scores_are_not_saturated(its):
    scores = unmasked_score(its.model, its.fresh(4), "prob")
    assert scores.min() > 0.01
    assert scores.max() < 0.99


def test_folding_batch_norms_would_change_something(its):
    norms = [m for m in its.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert norm.running_mean.abs().max() > 1e-3
        assert norm.weight.abs().min() > 0.1
        assert norm.momentum is not None


def test_the_same_every_time(its):
    again = subject(its.size, 4, CPU)
    assert torch.equal(again.batch.images, its.batch.images)
    assert all(
        torch.equal(a, b)
        for a, b in zip(its.model.parameters(), again.model.parameters(), strict=True)
    )


def test_maps_have_no_ties(its):
    flat = its.maps.flatten(1)
    assert all(len(row.unique()) == row.numel() for row in flat)


def test_a_fresh_batch_knows_no_scores(its):
    first = its.fresh(2)
    unmasked_score(its.model, first, "prob")
    assert len(first.shared) == 1
    second = its.fresh(2)
    assert len(second.shared) == 0
    assert second.origin is None


def test_half_is_the_same_model_in_bf16(its):
    assert (its.model.precision, its.half.precision) == ("fp32", "bf16")
    assert torch.equal(next(its.model.parameters()), next(its.half.parameters()))


def test_noise_is_images():
    noise = smooth_noise(QUICK["quick_grey"], 2)
    assert noise.shape == (2, 1, 64, 64)
    assert 0 <= noise.min() < noise.max() <= 1
