"""Max-sensitivity: captum with the same images, closed forms, where it is undefined."""

from __future__ import annotations

import math

import pytest
import torch
from captum.metrics import sensitivity_max
from subjects import images_batch, net_model, signed_maps

from xaibench.metrics.max_sensitivity import MaxSensitivity

SIZE = (15, 18)


def gradient(model, images, targets):
    """Input times gradient of the logit."""
    images = images.clone().requires_grad_()
    with torch.enable_grad():
        score = model.score(images, targets, "logit").sum()
    return (torch.autograd.grad(score, images)[0] * images).sum(1).detach()


def scores(metric, model, batch, explain):
    remake = lambda model, part: explain(model, part.images, part.targets)
    maps = explain(model, batch.images, batch.targets)
    return metric.compare(model, metric.others(model, None, 0), batch, maps, remake)


def test_equals_captum_with_the_same_images():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    metric = MaxSensitivity(0.1, samples=5)
    values = scores(metric, model, batch, gradient).values["max_sensitivity"]
    for i in range(3):
        one = batch.take([i])
        near = torch.cat([metric._near(one, number) for number in range(5)])
        assert ((near - one.images).abs() <= 0.1 + 1e-6).all()
        theirs = _captum(model, one, near)
        assert values[i].item() == pytest.approx(theirs, rel=1e-4)


def _captum(model, one, near):
    target = one.targets[0]

    def explain(images):
        images = images[0] if isinstance(images, tuple) else images
        # A tuple: captum takes the rows of a tensor for the maps of several inputs.
        return (gradient(model, images, target.expand(len(images)))[:, None],)

    return sensitivity_max(
        explain, one.images, lambda images, radius: near, n_perturb_samples=len(near)
    ).item()


def test_a_map_that_knows_nothing_of_the_image_does_not_move():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    fixed = signed_maps(batch)
    values = scores(MaxSensitivity(), model, batch, lambda *_: fixed.clone()).values
    assert values["max_sensitivity"].tolist() == [0.0] * 3


def test_the_image_as_its_map_moves_as_the_noise():
    """R(y) = y on one channel: the largest norm of the noise over the norm of the image."""
    model, batch = net_model(channels=1, size=SIZE), images_batch(1, SIZE)
    metric = MaxSensitivity(0.05, 4)
    values = scores(metric, model, batch, lambda _, images, __: images[:, 0].clone()).values
    near = torch.stack([metric._near(batch, number) for number in range(4)])
    moved = (near - batch.images).flatten(2).norm(dim=2).amax(0)
    expected = moved / batch.images.flatten(1).norm(dim=1)
    assert values["max_sensitivity"].tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert 0 <= near.min() <= near.max() <= 1
    assert len({tuple(n.flatten().tolist()) for n in near}) == 4


def test_is_undefined_for_a_map_of_zeros_and_where_a_map_failed():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps = signed_maps(batch)
    maps[0] = 0
    moved = maps + 0.1
    moved[1] = torch.nan
    found = MaxSensitivity(samples=2).compare(model, {}, batch, maps, lambda *_: moved)
    values = found.values["max_sensitivity"]
    assert values.isnan().tolist() == [True, True, False]
    assert "could not be made" in found.undefined["max_sensitivity"]


def test_its_protocol_direction_and_range():
    said = "max_sensitivity[radius=0.02,samples=10]"
    assert MaxSensitivity().protocol("max_sensitivity", "slic") == said
    assert MaxSensitivity().direction("max_sensitivity") is False
    assert MaxSensitivity().value_bounds("max_sensitivity") == (0.0, math.inf)
