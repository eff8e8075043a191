"""Masked images of a block are passed once, and nobody's scores or costs depend on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import (
    RankMasks,
    SegmentMasks,
    block_scores,
    fill_images,
    filled_score,
    known,
    masked_scores,
    pixel_ranks,
    removal_curve,
    segment_curve,
    segment_means,
    step_counts,
)
from xaibench.engine.known import KnownScores
from xaibench.models.base import PassCount

COUNTS = torch.tensor([3, 0, 7, 5, 1])


@pytest.fixture
def batch():
    return replace(toy_batch(), shares=True)


@pytest.fixture
def model():
    return toy_model()


def masks_of(batch, seed=0, counts=COUNTS):
    drawn = torch.rand(5, 7, 16, generator=torch.Generator().manual_seed(seed)) < 0.5
    return SegmentMasks(batch.segments, drawn, counts)


def made(passes: PassCount) -> int:
    return passes.forward - passes.shared + passes.block


def plain(model, batch, masks, fill="blur", space="prob"):
    """The scores of passes that nobody shares."""
    fills = fill_images(batch, fill)
    return masked_scores(toy_model(), batch.images, fills, batch.targets, masks, space)


@pytest.mark.parametrize("space", ["prob", "logit"])
@pytest.mark.parametrize("batch_size", [3, 16])
def test_they_are_the_scores_of_passes_that_nobody_shares(model, batch, space, batch_size):
    model.batch_size = batch_size
    first, second = masks_of(batch), masks_of(batch, seed=1)
    for masks in (first, second, first):
        found = block_scores(model, batch, masks, "blur", space)
        wanted = plain(model, batch, masks, space=space)
        assert torch.equal(found.nan_to_num(nan=-1), wanted.nan_to_num(nan=-1))
    assert model.passes == PassCount(3 * 16)
    assert model.passes.shared == 16


def test_what_is_asked_again_is_not_passed_again(model, batch):
    masks = masks_of(batch)
    first = block_scores(model, batch, masks, "blur")
    assert made(model.passes) == 16
    again = block_scores(model, batch, masks, "blur")
    assert torch.equal(first.nan_to_num(), again.nan_to_num())
    assert (made(model.passes), model.passes.forward) == (16, 32)


def test_equal_masks_of_one_call_are_passed_once(model, batch):
    masks = masks_of(batch)
    twice = torch.cat([masks.replaced, masks.replaced], dim=1)
    counts = torch.full((5,), 14)
    scores = block_scores(model, batch, SegmentMasks(batch.segments, twice, counts), "black")
    assert torch.equal(scores[:, :7], scores[:, 7:])
    assert made(model.passes) == 35
    assert model.passes == PassCount(70)


@pytest.mark.parametrize("other", ["fill", "image", "target", "model", "weights", "precision"])
def test_what_differs_in_anything_else_is_passed(model, batch, other):
    masks = masks_of(batch, counts=torch.full((5,), 7))
    block_scores(model, batch, masks, "blur")
    fill = "black" if other == "fill" else "blur"
    if other == "image":  # the same masks of other images: five different ones
        batch = batch.take([1, 2, 3, 4, 0])
        masks = replace(masks, segments=batch.segments.roll(1, 0))
    if other == "target":
        batch = replace(batch, targets=1 - batch.targets)
    if other == "model":
        model = toy_model(seed=1)
    if other == "weights":
        with torch.no_grad():
            next(model.net.parameters()).mul_(1.5)
    if other == "precision":
        model.precision = "bf16"
    before = made(model.passes)
    found = block_scores(model, batch, masks, fill)
    assert made(model.passes) - before == 35
    wanted = masked_scores(model, batch.images, fill_images(batch, fill), batch.targets, masks)
    assert torch.equal(found, wanted)


def test_a_model_that_must_be_seen_at_work_is_asked_for_each_space(model, batch):
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    masks = masks_of(batch)
    for space in ("prob", "logit", "prob"):
        found = block_scores(model, batch, masks, "blur", space)
        wanted = plain(model, batch, masks, space=space)
        assert found == pytest.approx(wanted, abs=1e-6, nan_ok=True)
    assert sum(sizes) == made(model.passes) == 32


def test_both_spaces_are_read_of_one_pass(model, batch):
    masks = masks_of(batch)
    block_scores(model, batch, masks, "blur", "prob")
    logits = block_scores(model, batch, masks, "blur", "logit")
    assert made(model.passes) == 16
    wanted = plain(model, batch, masks, space="logit").nan_to_num()
    assert torch.equal(logits.nan_to_num(), wanted)


def test_parts_of_a_block_know_what_the_block_knows(model, batch):
    """In another order, with an image twice, and with other seeds."""
    masks = masks_of(batch, counts=torch.full((5,), 7))
    whole = block_scores(model, batch, masks, "uniform")
    at = [3, 3, 0]
    part = batch.take(at).reseeded(torch.arange(3))
    found = block_scores(
        model, part, SegmentMasks(part.segments, masks.replaced[at], torch.full((3,), 7)), "uniform"
    )
    assert torch.equal(found, whole[at])
    assert made(model.passes) == 35


def test_the_first_step_of_a_segment_curve_is_superpixel_occlusion(model, batch):
    counts = batch.segments.flatten(1).amax(1) + 1
    alone = torch.eye(int(counts.max()), dtype=torch.bool).expand(5, -1, -1)
    block_scores(model, batch, SegmentMasks(batch.segments, alone, counts), "black")
    filled_score(model, batch, "black", "prob")  # and the unmasked one belong to the block
    relevance = segment_means(torch.rand(5, 32, 32), batch.segments)
    before = model.passes.copy()
    segment_curve(model, batch, relevance, fill="black", space="prob")
    spent = model.passes.since(before)
    assert spent.forward == int((counts - 1).sum())
    assert spent.shared == 5


def test_the_reverse_of_an_order_is_the_other_metric(model, batch):
    """Deletion from the most relevant is insertion from the least, step by step backwards."""
    maps, pixels = torch.rand(5, 32, 32), 32 * 32
    counts, asked = step_counts(8, pixels, maps.device), {"fill": "blur", "space": "prob"}
    deleted = removal_curve(model, batch, maps, counts, **asked)
    before = model.passes.copy()
    inserted = removal_curve(model, batch, maps, counts, insert=True, least_first=True, **asked)
    assert torch.equal(inserted, deleted.flip(1))
    spent = model.passes.since(before)
    assert (spent.forward, spent.shared) == (35, 35)


def test_a_single_new_image_is_passed_in_company(model, batch):
    """Alone it would go through other kernels: its last bit would tell what was known before."""
    masks = masks_of(batch, counts=torch.full((5,), 7))
    ranks = pixel_ranks(torch.rand(5, 32, 32), batch.seeds)
    thresholds = torch.arange(1, 8).expand(5, -1) * 100
    wanted = plain(model, batch, RankMasks(ranks, thresholds, masks.counts))
    known_already = RankMasks(ranks, thresholds, torch.tensor([7, 7, 7, 7, 6]))
    block_scores(model, batch, known_already, "blur")
    assert made(model.passes) == 34
    scores = block_scores(model, batch, RankMasks(ranks, thresholds, masks.counts), "blur")
    assert made(model.passes) == 36
    assert torch.equal(scores, wanted)


def test_a_full_table_takes_nothing_more(model, batch, monkeypatch):
    monkeypatch.setattr("xaibench.engine.passed_once.MOST", 16)
    first, second = masks_of(batch), masks_of(batch, seed=1)
    for masks in (first, second, second, first):
        block_scores(model, batch, masks, "blur")
    assert made(model.passes) == 48
    (table,) = KnownScores.of(model, batch).tables.values()
    assert len(table.keys) == 16


def test_what_is_known_is_kept_as_arrays(model, batch):
    masks = masks_of(batch)
    wanted = block_scores(model, batch, masks, "blur")
    whole = filled_score(model, batch, "blur", "logit")
    arrays = KnownScores.of(model, batch).arrays()
    again, anew = replace(batch), toy_model()
    again.shared[anew] = KnownScores.read(arrays, batch.images.device)
    assert torch.equal(filled_score(anew, again, "blur", "logit"), whole)
    found = block_scores(anew, again, masks, "blur")
    assert torch.equal(found.nan_to_num(), wanted.nan_to_num())
    assert made(anew.passes) == 0
    assert anew.passes == PassCount(16)


def test_a_batch_that_does_not_share_passes_all(model):
    batch = toy_batch()
    for _ in range(2):
        block_scores(model, batch, masks_of(batch), "blur")
    assert made(model.passes) == model.passes.forward == 32
    assert known.KnownScores.of(model, batch).tables == {}
