"""One call a step gives what the engine gives in full batches."""

from __future__ import annotations

import pytest
import torch

from benchmarks import loops
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import step_counts
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion
from xaibench.metrics.cumulative_drop import CumulativeDrop
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.insertion import Insertion


@pytest.fixture(params=["softmax", "single_logit", "multilabel"])
def model(request):
    return toy_model(request.param)


@pytest.fixture
def batch():
    return toy_batch(images=3)


@pytest.fixture
def maps():
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(3))


def test_superpixel_occlusion(model, batch):
    looped = loops.superpixel_occlusion(model, batch)
    assert looped.abs().max() > 1e-3
    assert looped == pytest.approx(SuperpixelOcclusion()(model, batch).maps, abs=1e-6)


def test_deletion_insertion(model, batch, maps):
    counts = step_counts(16, 32 * 32, maps.device)
    looped = loops.deletion_insertion(model, batch, maps, counts)
    ours = [
        metric(16, "black").score(model, batch, maps).curves[metric.name].y
        for metric in (Deletion, Insertion)
    ]
    assert looped == pytest.approx(torch.stack(ours), abs=1e-6)


def test_cumulative_drop(model, batch, maps):
    looped = loops.cumulative_drop(model, batch, maps)
    curves = CumulativeDrop().score(model, batch, maps).curves
    ours = torch.stack([curves["morf"].y, curves["lerf"].y])
    assert torch.equal(looped.isnan(), ours.isnan())
    assert looped.nan_to_num() == pytest.approx(ours.nan_to_num(), abs=1e-6)
