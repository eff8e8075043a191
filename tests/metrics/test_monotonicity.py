"""Monotonicity by both definitions: loops, closed forms, Quantus, and what Quantus says."""

from __future__ import annotations

import math

import pytest
import quantus
import torch
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import fill_images
from xaibench.metrics.monotonicity import Monotonicity
from xaibench.randomness import NEIGHBOURHOOD, copy_seeds, random_uniform

SIZE, PIXELS = (15, 18), 270
NGUYEN = {"definition_by": "nguyen"}


@torch.no_grad()
def test_equals_loop_over_steps():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps, fills = signed_maps(batch), fill_images(batch, "image_mean")
    scores = Monotonicity(12, "image_mean").score(model, batch, maps)
    seen = set()
    for i in range(3):
        rising = maps[i].flatten().argsort()
        shown, before, kept, done = fills[i].clone(), None, 0, 0
        for k in range(13):
            count = math.floor(k * PIXELS / 12 + 0.5)
            for p in rising[done:count].tolist():
                shown[:, p // 18, p % 18] = batch.images[i, :, p // 18, p % 18]
            y, done = model.score(shown[None], batch.targets[i : i + 1]).item(), count
            kept += before is not None and y >= before
            before = y
        assert scores.values["monotonicity"][i].item() == pytest.approx(kept / 12)
        seen.add(kept)
    assert not seen & {0, 12}  # neither end, which anything might give


def test_positive_contributions_to_a_linear_model_score_one_and_negative_ones_zero():
    batch = images_batch(size=SIZE)
    batch.targets.zero_()
    weights = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0)) + 0.1
    for sign in (1, -1):
        maps = sign * (weights * batch.images).sum(1)
        metric = Monotonicity(20, "black")
        found = metric.score(linear_model(sign * weights), batch, maps).values["monotonicity"]
        assert found.tolist() == pytest.approx([float(sign > 0)] * 3)


def test_a_score_that_never_moves_does_not_fall_and_quantus_says_so_of_every_map():
    model, batch = net_model(channels=1, size=SIZE), images_batch(1, SIZE)
    maps = signed_maps(batch).abs()
    theirs = quantus.Monotonicity(features_in_step=27, normalise=False, disable_warnings=True)(
        model=model, x_batch=batch.images.numpy(), y_batch=batch.targets.numpy(),
        a_batch=maps[:, None].numpy(), device="cpu", channel_first=True,
    )  # fmt: skip
    assert theirs == [True] * 3
    ours = Monotonicity(10, "black").score(model, batch, maps).values["monotonicity"]
    assert (ours < 1).all()
    batch = images_batch(1, SIZE)
    batch.images[:] = 0
    still = Monotonicity(10, "black").score(model, batch, maps).values["monotonicity"]
    assert still.tolist() == [1.0] * 3


def test_nguyen_equals_quantus_with_the_same_noise():
    model, batch = net_model(channels=1, size=SIZE), images_batch(1, SIZE)
    maps, groups, samples = signed_maps(batch), 9, 4
    metric = Monotonicity(groups, samples=samples, **NGUYEN)
    ours = metric.score(model, batch, maps).values["monotonicity"]
    for i in range(3):
        seeds = batch.seeds[i : i + 1].repeat(groups * samples)
        noise = random_uniform(
            copy_seeds(seeds, torch.arange(groups * samples)), PIXELS, NEIGHBOURHOOD
        )
        # Quantus goes from the least relevant group to the most relevant one.
        rising = noise.view(groups, samples, PIXELS).flip(0).flatten(0, 1)
        calls = iter(rising.float().numpy())

        def drawn(arr, indices, calls=calls, **_):
            made, values = arr.copy(), next(calls)
            made[0, indices[0]] = values[indices[0]]
            return made

        theirs = quantus.MonotonicityCorrelation(
            nr_samples=samples, features_in_step=PIXELS // groups, normalise=False,
            perturb_func=drawn, disable_warnings=True,
        )(
            model=model, x_batch=batch.images[i : i + 1].numpy(),
            y_batch=batch.targets[i : i + 1].numpy(), a_batch=maps[i : i + 1, None].numpy(),
            device="cpu", softmax=True, channel_first=True,
        )  # fmt: skip
        assert ours[i].item() == pytest.approx(theirs[0], abs=1e-6)
        assert 0 < abs(theirs[0]) < 1


def test_nguyen_of_a_linear_model_whose_pixels_count_in_order():
    """The expected square of a group's change rises with its weights, and so does relevance."""
    batch = images_batch(1, SIZE)
    batch.targets.zero_()
    batch.images[:] = 0.5
    weights = (torch.arange(PIXELS) / 90).exp().view(1, *SIZE)
    metric = Monotonicity(6, samples=40, **NGUYEN)
    for maps in (weights.expand(3, -1, -1), -weights.expand(3, -1, -1)):
        found = metric.score(linear_model(weights), batch, maps).values["monotonicity"]
        assert found.tolist() == pytest.approx([1.0] * 3)
    flat = torch.ones(3, *SIZE)
    scores = metric.score(linear_model(weights), batch, flat)
    assert scores.values["monotonicity"].isnan().all()
    assert "is the same" in scores.undefined["monotonicity"]


def test_its_protocols_direction_and_bounds():
    said = "monotonicity[definition_by=arya,fill=dataset_mean,score=prob,steps=100,ties=seeded]"
    assert Monotonicity().protocol("monotonicity", "slic") == said
    said = "monotonicity[definition_by=nguyen,samples=8,score=prob,steps=100,ties=seeded]"
    assert Monotonicity(**NGUYEN).protocol("monotonicity", "slic") == said
    assert Monotonicity().direction("monotonicity") is True
    assert (Monotonicity().bounds, Monotonicity(**NGUYEN).bounds) == ((0.0, 1.0), (-1.0, 1.0))
