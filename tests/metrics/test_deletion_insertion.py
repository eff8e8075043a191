"""Deletion and insertion against a loop over pixels, closed forms, and what the model is shown."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from pixel_twin import PIXELS, literal_curve, random_maps
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.engine.batch import Batch
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.insertion import Insertion
from xaibench.models.base import Classifier

METRICS = {"deletion": Deletion, "insertion": Insertion}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("fill", ["black", "dataset_mean", "image_mean", "blur", 0.3])
@pytest.mark.parametrize(
    ("head", "steps", "space"),
    [("softmax", 8, "prob"), ("single_logit", 7, "prob"), ("multilabel", 30, "logit")],
)
def test_equals_loop_over_pixels(name, fill, head, steps, space):
    model, batch, maps = toy_model(head), toy_batch(), random_maps()
    scores = METRICS[name](steps, fill, space).score(model, batch, maps)
    fills, curve = fill_images(batch, fill), scores.curves[name]
    for i in range(2):
        image, target = batch.images[i], batch.targets[i]
        ranking = sorted(range(PIXELS), key=lambda p, i=i: -maps[i].flatten()[p].item())
        ends = (image, fills[i]) if name == "deletion" else (fills[i], image)
        xs, ys, area = literal_curve(model, *ends, target, ranking, steps, space)
        assert curve.x[i].tolist() == pytest.approx(xs, abs=1e-7)
        assert curve.y[i].tolist() == pytest.approx(ys, abs=1e-6)
        assert scores.values[name][i].item() == pytest.approx(area, abs=1e-6)


def linear_model(weights: torch.Tensor) -> Classifier:
    """f(x) = the sum of weights x over pixels and channels."""
    linear = nn.Linear(weights.numel(), 1, bias=False)
    linear.weight.data = weights.flatten()[None]
    channels = len(weights)
    return Classifier(
        nn.Sequential(nn.Flatten(), linear),
        head="regression",
        classes=("y",),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        cam_layer=None,
        linear_head="1",
        pool=None,
        input_shape=tuple(weights.shape),
    )


def linear_case(images: int = 3) -> tuple[Classifier, Batch, torch.Tensor]:
    """A linear model, a batch, and each pixel's exact contribution v."""
    batch = toy_batch(images=images)
    weights = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(5)) / 30
    batch.targets.zero_()
    return linear_model(weights), batch, (batch.images * weights).sum(1).double()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("steps", [PIXELS, 100, 2])
def test_linear_model_in_closed_form(name, steps):
    """A pixel that goes between the fractions a and b adds v (a + b) / 2 under a linear score.

    With one pixel a step that is v (r + 1/2) / HW for rank r; insertion has the complement.
    """
    model, batch, contributions = linear_case()
    maps = random_maps(3)
    value = METRICS[name](steps, "black").score(model, batch, maps).values[name]
    marks = [math.floor(k * PIXELS / steps + 0.5) for k in range(steps + 1)]
    for i in range(3):
        v = contributions[i].flatten()[maps[i].flatten().argsort(descending=True)]
        when = torch.empty(PIXELS, dtype=torch.float64)
        for a, b in pairwise(marks):
            when[a:b] = (a + b) / 2 / PIXELS
        if steps == PIXELS:
            assert when.tolist() == [(r + 0.5) / PIXELS for r in range(PIXELS)]
        area = (v * (when if name == "deletion" else 1 - when)).sum().item()
        assert value[i].item() == pytest.approx(area, abs=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_a_constant_map_scores_as_a_random_one(name):
    """Both have the mean f(x) / 2 on a linear model; within 4 standard errors over 400 seeds."""
    model, batch, contributions = linear_case(images=1)
    many = batch.take([0] * 400)
    many.seeds.copy_(torch.arange(400))
    generator = torch.Generator().manual_seed(8)
    maps = {"constant": torch.zeros(400, 32, 32)}
    maps["random"] = torch.rand(400, 32, 32, generator=generator)
    metric, expected = METRICS[name](20, "black"), contributions.sum().item() / 2
    spreads = []
    for kind in maps.values():
        values = metric.score(model, many, kind).values[name]
        spreads.append(values.std().item())
        assert abs(values.mean().item() - expected) < 4 * spreads[-1] / math.sqrt(400)
    # The standard deviation of 400 normal numbers has a relative standard error of 1/sqrt(800).
    assert spreads[0] / spreads[1] == pytest.approx(1, abs=4 * math.sqrt(2 / 800))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("steps", [10, 7, 1000])
def test_exactly_so_many_pixels_are_shown(name, steps, monkeypatch):
    model, batch = toy_model(), toy_batch(images=1)
    forward, shown = model.forward, []
    monkeypatch.setattr(model, "forward", lambda x: shown.append(x.clone()) or forward(x))
    METRICS[name](steps, "black").score(model, batch, random_maps(1))
    copies = torch.cat(shown)
    gone = (copies == 0).all(dim=1).flatten(1).sum(1).tolist()
    assert (copies[:, 0] != 0).flatten(1).sum(1).tolist() == [PIXELS - n for n in gone]
    counts = {math.floor(k * PIXELS / steps + 0.5) for k in range(steps + 1)}
    assert sorted(gone) == sorted(counts)  # with both ends, which are shared


@pytest.mark.parametrize("name", METRICS)
def test_costs_a_pass_a_step_between_the_shared_ends(name):
    model, batch, maps = toy_model(), toy_batch(), random_maps()
    metric = METRICS[name](steps=12)
    curve = metric.score(model, batch, maps).curves[name].y
    assert model.passes.forward == 11 * len(batch)
    metric.score(model, batch, -maps)
    assert model.passes.forward == 2 * 11 * len(batch)
    with torch.no_grad():
        whole = model.score(batch.images, batch.targets)
        nothing = model.score(fill_images(batch, metric.fill), batch.targets)
    first, last = (whole, nothing) if name == "deletion" else (nothing, whole)
    assert curve[:, 0] == pytest.approx(first, abs=1e-6)
    assert curve[:, -1] == pytest.approx(last, abs=1e-6)


@pytest.mark.parametrize("fill", ["black", "blur"])
def test_insertion_is_deletion_of_the_negated_map(fill):
    """Restoring from the top leaves what deleting from the bottom leaves, step by step."""
    model, batch, maps = toy_model(), toy_batch(), random_maps()
    insertion = Insertion(8, fill).score(model, batch, maps)
    deletion = Deletion(8, fill).score(model, batch, -maps)
    flipped = deletion.curves["deletion"].y.flip(1)
    assert insertion.curves["insertion"].y == pytest.approx(flipped, abs=1e-6)
    assert insertion.values["insertion"] == pytest.approx(deletion.values["deletion"], abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_lerf_is_the_order_of_morf_from_its_other_end(name):
    """Of a map without ties that is what morf does with the negated map."""
    model, batch, maps = toy_model().double(), toy_batch(), random_maps()
    lerf = METRICS[name](9, "black", order="lerf").score(model, batch, maps)
    negated = METRICS[name](9, "black").score(model, batch, -maps)
    assert lerf.values[name] == pytest.approx(negated.values[name], abs=1e-8)
    assert lerf.curves[f"{name}@lerf"].y == pytest.approx(negated.curves[name].y, abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_ties_of_lerf_are_those_of_morf_reversed(name):
    """What the first k pixels of one order leave is what the other's last HW - k leave."""
    linear, batch, contributions = linear_case()
    maps = torch.zeros(3, 32, 32)
    curves = [
        METRICS[name](PIXELS, "black", order=order).score(linear, batch, maps).curves
        for order in ("morf", "lerf")
    ]
    morf, lerf = curves[0][name].y, curves[1][f"{name}@lerf"].y
    total = contributions.sum((1, 2))[:, None]
    assert (morf + lerf.flip(1)).numpy() == pytest.approx(total.expand_as(morf).numpy(), abs=1e-4)
    assert (morf - lerf).abs().amax(1).min() > 1e-2


@pytest.mark.parametrize(
    ("metric", "higher", "said"),
    [
        (Deletion(), False, "deletion[fill=dataset_mean,score=prob,steps=100,ties=seeded]"),
        (
            Deletion(order="lerf"),
            True,
            "deletion[fill=dataset_mean,order=lerf,score=prob,steps=100,ties=seeded]",
        ),
        (Insertion(), True, "insertion[fill=blur,score=prob,steps=100,ties=seeded]"),
        (
            Insertion(order="lerf"),
            False,
            "insertion[fill=blur,order=lerf,score=prob,steps=100,ties=seeded]",
        ),
    ],
)
def test_the_order_turns_the_direction_and_is_said_where_it_is_lerf(metric, higher, said):
    name = metric.value_names(())[0]
    assert metric.direction(name) is higher
    assert metric.higher_is_better is higher
    assert metric.protocol(name, "") == said
