"""Cumulative drop against a loop over segments, its symmetry and its edge cases."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.engine.batch import Batch
from xaibench.metrics.cumulative_drop import CumulativeDrop


def ragged_batch() -> Batch:
    """Images with 16, 8, 1, 2 and 16 segments of uneven area."""
    batch = toy_batch()
    segments = batch.segments.clone()
    segments[2] = 0
    segments[3] = 0
    segments[3, :, 27:] = 1
    segments[4, :10][segments[4, :10] < 4] = 5  # so that areas differ
    segments[4] = segments[4].unique(return_inverse=True)[1]
    return replace(batch, segments=segments)


def random_maps(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 32, 32, generator=torch.Generator().manual_seed(2)) - 0.5


@torch.no_grad()
def literal_value(model, image, target, segments, relevance, fill, space):
    """Area under the drops, most important first, less that with least important first.

    Returns the values against the fraction of segments and of area, and the four curves.
    """
    f = lambda x: model.score(x[None], target[None], space).item()
    labels = range(int(segments.max()) + 1)
    importance = [relevance[segments == s].double().mean().item() for s in labels]
    falling = sorted(labels, key=lambda s: -importance[s])
    curves, values = {}, []
    for suffix in ("", "@area"):
        areas = {}
        for name, order in {"morf": falling, "lerf": falling[::-1]}.items():
            shown, xs, ys = image.clone(), [0.0], [0.0]
            for s in order:
                inside = segments == s
                shown[:, inside] = fill[:, inside]
                share = inside.float().mean().item() if suffix else 1 / len(labels)
                xs.append(xs[-1] + share)
                ys.append(f(image) - f(shown))
            strips = zip(pairwise(xs), pairwise(ys), strict=True)
            areas[name] = sum((b - a) * (p + q) / 2 for (a, b), (p, q) in strips)
            curves[name + suffix] = (xs, ys)
        values.append(areas["morf"] - areas["lerf"])
    return values, curves


@pytest.mark.parametrize(
    ("head", "fill", "space"),
    [
        ("softmax", "dataset_mean", "prob"),
        ("single_logit", "blur", "logit"),
        ("multilabel", 0.1, "prob"),
    ],
)
def test_equals_loop_over_segments(head, fill, space):
    model, batch, maps = toy_model(head), ragged_batch(), random_maps()
    scores = CumulativeDrop(fill, space).score(model, batch, maps)
    fills = fill_images(batch, fill)
    for i in range(len(batch)):
        (by_count, by_area), curves = literal_value(
            model, batch.images[i], batch.targets[i], batch.segments[i], maps[i], fills[i], space
        )
        assert scores.values["cumulative_drop"][i].item() == pytest.approx(by_count, abs=1e-6)
        assert scores.values["cumulative_drop@area"][i].item() == pytest.approx(by_area, abs=1e-6)
        for name, (xs, ys) in curves.items():
            curve = scores.curves[name]
            assert curve.x[i, : len(xs)].tolist() == pytest.approx(xs, abs=1e-6)
            assert curve.y[i, : len(ys)].tolist() == pytest.approx(ys, abs=2e-6)
            assert curve.x[i, len(xs) :].isnan().all()
            assert curve.y[i, len(ys) :].isnan().all()


def test_negating_the_map_negates_the_value():
    model, batch, maps = toy_model(), ragged_batch(), random_maps()
    values = CumulativeDrop().score(model, batch, maps).values
    negated = CumulativeDrop().score(model, batch, -maps).values
    for name in values:
        assert negated[name] == pytest.approx(-values[name], abs=1e-6)


def test_one_segment_has_no_order():
    batch = toy_batch(images=2)
    batch.segments.zero_()
    scores = CumulativeDrop().score(toy_model(), batch, random_maps(2))
    assert scores.values["cumulative_drop"].tolist() == [0, 0]
    assert scores.values["cumulative_drop@area"].tolist() == [0, 0]
    assert scores.curves["morf"].x.tolist() == [[0, 1], [0, 1]]


def test_constant_maps_score_nothing_on_average():
    """Expectation 0, since both orders are as likely; within 4 standard errors over 300 seeds."""
    many = toy_batch(images=1).take([0] * 300)
    many.seeds.copy_(torch.arange(300))
    model = toy_model()
    model.batch_size = 256
    values = CumulativeDrop().score(model, many, torch.zeros(300, 32, 32)).values
    for value in values.values():
        assert value.std() > 0
        assert abs(value.mean()) < 4 * value.std() / math.sqrt(300)


def test_costs_two_passes_a_segment_between_the_shared_ends():
    model, batch = toy_model(), ragged_batch()
    counts = batch.segments.flatten(1).amax(1) + 1
    CumulativeDrop().score(model, batch, random_maps())
    assert model.passes.forward == int((2 * (counts - 1)).sum())
