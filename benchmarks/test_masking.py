"""The engine beside its floor: the same passes, bare, in full batches."""

from __future__ import annotations

import pytest
import torch

from benchmarks.conftest import IMAGES
from xaibench.engine import (
    BoxMasks,
    RankMasks,
    SegmentMasks,
    SharedMasks,
    fill_images,
    masked_scores,
    removal_curve,
    step_counts,
)

MASKS = 64
STEPS = 32


def rank_masks(its):
    side = its.size.pixels
    ranks = (its.maps * side**2).long()
    thresholds = torch.linspace(0, side**2, MASKS).long().expand(IMAGES, -1)
    return RankMasks(ranks, thresholds, _counts(its))


def segment_masks(its):
    segments = its.batch.segments
    generator = torch.Generator().manual_seed(0)
    replaced = torch.rand(IMAGES, MASKS, int(segments.max()) + 1, generator=generator) < 0.5
    return SegmentMasks(segments, replaced, _counts(its))


def box_masks(its):
    side = its.size.pixels
    top = torch.arange(MASKS) % (side - 16)
    boxes = torch.stack([top, top + 16, top, top + 16], dim=1)
    return BoxMasks(boxes, (side, side), _counts(its))


def shared_masks(its):
    side = its.size.pixels
    generator = torch.Generator().manual_seed(0)
    return SharedMasks(torch.rand(MASKS, side, side, generator=generator) < 0.5, _counts(its))


def _counts(its):
    return torch.full_like(its.batch.targets, MASKS)


@pytest.mark.benchmark(group=f"masked scores, {IMAGES} images x {MASKS} masks")
def test_bare_passes_for_masks(benchmark, bare):
    benchmark.pedantic(bare, (IMAGES * MASKS,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=f"masked scores, {IMAGES} images x {MASKS} masks")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("form", [rank_masks, segment_masks, box_masks, shared_masks])
def test_masked_scores(benchmark, its, form, precision):
    model = its.half if precision == "bf16" else its.model
    batch, masks = its.fresh(IMAGES), form(its)
    what = (model, batch.images, fill_images(batch, "dataset_mean"), batch.targets, masks)
    scores = benchmark.pedantic(masked_scores, what, rounds=5, warmup_rounds=1)
    assert scores.shape == (IMAGES, MASKS)


@pytest.mark.benchmark(group=f"removal curves, {IMAGES} images x {STEPS} steps")
def test_bare_passes_for_curves(benchmark, bare):
    benchmark.pedantic(bare, (IMAGES * (STEPS - 1),), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=f"removal curves, {IMAGES} images x {STEPS} steps")
@pytest.mark.parametrize("insert", [False, True], ids=["deletion", "insertion"])
def test_removal_curve(benchmark, its, insert):
    counts = step_counts(STEPS, its.size.pixels**2, its.maps.device)
    curve = lambda: removal_curve(
        its.model, its.fresh(IMAGES), its.maps, counts, fill="black", space="prob", insert=insert
    )
    y = benchmark.pedantic(curve, rounds=5, warmup_rounds=1)
    assert y.shape == (IMAGES, STEPS + 1)
