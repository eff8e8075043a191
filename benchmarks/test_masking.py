"""The engine beside its floor: the same passes, bare, in full batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xaibench.checks import toy_batch
from xaibench.masking import removal_curve, step_counts
from xaibench.models.timm import Timm

STEPS, IMAGES, SIDE = 32, 8, 96


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    built = Timm(weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=(SIDE, SIDE)
    )
    return built.eval().to(memory_format=torch.channels_last)


@pytest.mark.benchmark(group="deletion, 8 images x 32 steps, ResNet-18 at 96 px")
def test_bare_passes(benchmark, model):
    images = torch.rand(64, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    passes = IMAGES * (STEPS - 1)

    def bare():
        with torch.inference_mode():
            for start in range(0, passes, 64):
                model(images[: min(64, passes - start)])

    benchmark.pedantic(bare, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="deletion, 8 images x 32 steps, ResNet-18 at 96 px")
def test_deletion_curve(benchmark, model):
    batch = toy_batch(images=IMAGES)
    images = torch.nn.functional.interpolate(batch.images, SIDE)
    segments = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.long)
    batch = replace(batch, images=images, segments=segments)
    maps = torch.rand(IMAGES, SIDE, SIDE)
    counts = step_counts(STEPS, SIDE * SIDE, maps.device)
    curve = lambda: removal_curve(model, batch, maps, counts, fill="black", space="prob")
    y = benchmark.pedantic(curve, rounds=5, warmup_rounds=1)
    assert y.shape == (IMAGES, STEPS + 1)
