"""Scores that a block shares belong to one model and one choice of targets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.config.run_config import plugin_parameters
from xaibench.engine import fill_images, filled_score, unmasked_score
from xaibench.errors import UserError
from xaibench.metrics.deletion import Deletion


def test_each_model_has_its_own():
    batch, one, other = toy_batch(), toy_model(), toy_model(seed=1)
    first = unmasked_score(one, batch, "prob")
    with torch.no_grad():
        wanted = other.score(batch.images, batch.targets)
    torch.testing.assert_close(unmasked_score(other, batch, "prob"), wanted)
    assert not torch.allclose(first, wanted)


def test_other_targets_start_anew():
    batch, model = toy_batch(), toy_model()
    first = unmasked_score(model, batch, "prob")
    other = unmasked_score(model, replace(batch, targets=1 - batch.targets), "prob")
    torch.testing.assert_close(other, 1 - first)


def test_they_are_scored_once():
    batch, model = toy_batch(), toy_model()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(3):
        filled_score(model, batch, "black", "prob")
    assert len(calls) == 1


def test_a_kernel_too_wide_for_the_image_is_a_user_error():
    with pytest.raises(UserError, match="too wide for images of 32 x 32"):
        fill_images(toy_batch(), "blur(71,5)")


def test_logits_have_no_bounds():
    assert Deletion(space="logit").bounds == (-float("inf"), float("inf"))
    assert Deletion().bounds == (0, 1)
    assert plugin_parameters(Deletion())["use"] == "deletion"
