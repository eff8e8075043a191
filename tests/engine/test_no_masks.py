"""Images without a single mask, and of a single segment."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import RankMasks, masked_scores, segment_curve, unmasked_score


def test_no_mask_gives_no_score():
    model, batch = toy_model(), toy_batch()
    none = torch.zeros_like(batch.targets)
    masks = RankMasks(torch.zeros_like(batch.segments), none[:, None], none)
    scores = masked_scores(model, batch.images, batch.images, batch.targets, masks)
    assert scores.shape == (len(batch), 0)


@pytest.mark.parametrize("shares", [False, True])
def test_a_single_segment_has_its_two_ends(shares):
    model, batch = toy_model(), toy_batch()
    one = replace(batch, segments=torch.zeros_like(batch.segments), shares=shares)
    curve, _ = segment_curve(model, one, torch.ones(len(one), 1), fill="black", space="prob")
    assert curve.shape == (len(one), 2)
    assert torch.equal(curve[:, 0], unmasked_score(model, one, "prob"))
