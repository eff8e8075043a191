"""Soft masks against a naive loop, and against hard masks where they are hard."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import (
    ChannelMasks,
    GridMasks,
    SharedMasks,
    fill_images,
    masked_scores,
    soft_scores,
)


def grid_masks(batch, number=7, cells=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(len(batch), number, cells, cells, generator=generator) < 0.5
    shifts = torch.randint(0, 11, (len(batch), number, 2), generator=generator)
    counts = torch.arange(len(batch)) + number - len(batch) + 1
    return GridMasks(kept, shifts, tuple(batch.images.shape[2:]), counts)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize(("head", "channels"), [("softmax", 3), ("single_logit", 1)])
def test_equals_a_naive_loop(batch_size, head, channels):
    model, batch = toy_model(head, channels), toy_batch(channels)
    model.batch_size = batch_size
    masks, fills = grid_masks(batch), fill_images(batch, "image_mean")
    scores = soft_scores(model, batch.images, fills, batch.targets, masks)
    assert scores.shape == (5, 7)
    for i, count in enumerate(masks.counts.tolist()):
        assert scores[i, count:].isnan().all()
        for k in range(count):
            weight = masks.expand(torch.tensor([i]), torch.tensor([k]))[:, None]
            mixed = weight * batch.images[i : i + 1] + (1 - weight) * fills[i : i + 1]
            with torch.no_grad():
                score = model.score(mixed, batch.targets[i : i + 1])
            assert float(scores[i, k]) == pytest.approx(float(score), abs=1e-6)


def test_weights_of_zero_and_one_are_hard_masks():
    model, batch = toy_model(), toy_batch()
    fills = fill_images(batch, "black")
    maps = torch.zeros(5, 2, 32, 32)
    maps[:, 0, 8:20, 4:30] = 1
    maps[:, 1, ::2] = 1
    counts = torch.full((5,), 2)
    soft = ChannelMasks(maps, (32, 32), counts)
    hard = SharedMasks(maps[0] == 0, counts)
    ours = soft_scores(model, batch.images, fills, batch.targets, soft)
    assert ours.numpy() == pytest.approx(
        masked_scores(model, batch.images, fills, batch.targets, hard).numpy(), abs=1e-6
    )


def test_the_weighted_sum_is_that_of_the_expanded_masks():
    batch = toy_batch(images=3)
    masks = grid_masks(batch, number=9)
    weights = torch.rand(3, 9, generator=torch.Generator().manual_seed(1))
    for i, total in enumerate(masks.weighted_sum(weights)):
        expanded = masks.expand(torch.full((9,), i), torch.arange(9))
        assert total.numpy() == pytest.approx(
            (expanded * weights[i, :, None, None]).sum(0).numpy(), abs=1e-5
        )


def test_channels_are_scaled_to_zero_and_one_and_flat_ones_keep_nothing():
    maps = torch.rand(1, 3, 5, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    maps[:, 1], maps[:, 2] = 0.3, 0
    expanded = ChannelMasks(maps, (13, 9), torch.tensor([3])).expand(
        torch.zeros(3, dtype=torch.int64), torch.arange(3)
    )
    large = F.interpolate(maps, (13, 9), mode="bilinear")[0, 0]
    wanted = (large - large.min()) / (large.max() - large.min())
    assert expanded[0].numpy() == pytest.approx(wanted.numpy(), abs=1e-6)
    assert not expanded[1:].any()


def test_a_network_that_is_not_copied_is_used_as_it_is():
    """A hook on the model keeps it from being copied; the scores stay the same."""
    model, batch = toy_model(), toy_batch()
    masks, fills = grid_masks(batch), fill_images(batch, "dataset_mean")
    before = soft_scores(model, batch.images, fills, batch.targets, masks)
    handle = model.net.fc.register_forward_hook(lambda *_: None)
    after = soft_scores(model, batch.images, fills, batch.targets, masks)
    handle.remove()
    assert before.numpy() == pytest.approx(after.numpy(), abs=1e-5, nan_ok=True)


def test_counts_one_pass_a_mask():
    model, batch = toy_model(), toy_batch()
    masks = grid_masks(batch)
    soft_scores(model, batch.images, batch.images, batch.targets, masks)
    assert model.passes.forward == int(masks.counts.sum())
