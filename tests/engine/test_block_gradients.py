"""Explainers that ask for the same gradient: one pass pair, the same bits, each its own cost."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import block_image_gradients, block_layer_gradients, kept_gradients
from xaibench.explainers.cam_.finer_cam import FinerCam
from xaibench.explainers.cam_.layer_cam import LayerCam
from xaibench.explainers.captum.input_x_gradient import InputXGradient
from xaibench.explainers.captum.saliency import Saliency
from xaibench.explainers.grad_cam import _VARIANTS, GradCam
from xaibench.models.base import Classifier

EIGHT = [GradCam(variant=variant) for variant in _VARIANTS]


class Counting(Classifier):
    """Counts the images that really go forward, and those whose gradient really comes back."""

    forward_images = backward_images = 0

    def forward(self, images):
        logits = super().forward(images)
        self.forward_images += len(images)
        if logits.requires_grad:
            logits.register_hook(self._came_back)
        return logits

    def _came_back(self, gradient):
        self.backward_images += len(gradient)


def _counting() -> Counting:
    model = toy_model()
    model.__class__ = Counting
    return model


def shared_batch():
    return replace(toy_batch(), shares=True)


def _fresh(batch):
    return replace(batch, shares=False)


@pytest.mark.parametrize("size", [64, 3])
def test_eight_variants_take_one_pass_pair(size):
    model, batch = _counting(), shared_batch()
    model.batch_size = size
    gradients_first = sorted(EIGHT, key=lambda each: each.variant == "eigencam")
    for explainer in gradients_first:
        explainer(model, batch)
    assert (model.forward_images, model.backward_images) == (len(batch), len(batch))
    assert model.passes.forward - model.passes.shared == model.forward_images


def test_nothing_is_shared_where_the_batch_does_not():
    model, batch = _counting(), _fresh(shared_batch())
    for explainer in EIGHT:
        explainer(model, batch)
    assert (model.forward_images, model.backward_images) == (8 * len(batch), 7 * len(batch))
    assert model.passes.shared == 0


@pytest.mark.parametrize("gradients", ["exact", "folded"])
@pytest.mark.parametrize("size", [64, 3])
@pytest.mark.parametrize("order", [EIGHT, EIGHT[::-1], EIGHT[6:] + EIGHT[:6]])
def test_maps_and_costs_are_those_of_each_alone(order, size, gradients):
    model, batch = toy_model(), shared_batch()
    model.batch_size, model.gradients = size, gradients
    for explainer in [*order, LayerCam(), LayerCam(eigen_smooth=True)]:
        together, alone = explainer(model, batch), explainer(model, _fresh(batch))
        assert torch.equal(together.maps, alone.maps)
        assert together.passes == alone.passes == explainer.cost(model, batch)


def test_gradients_at_the_image_are_shared_by_space():
    model, batch = _counting(), shared_batch()
    explainers = [Saliency(), InputXGradient(), Saliency(channels="sum")]
    for explainer in explainers:
        found, alone = explainer(model, batch), explainer(toy_model(), _fresh(batch))
        assert torch.equal(found.maps, alone.maps)
        assert found.passes == alone.passes
    assert (model.forward_images, model.backward_images) == (len(batch), len(batch))
    prob = Saliency(space="prob")(model, batch).maps
    assert torch.equal(prob, Saliency(space="prob")(toy_model(), _fresh(batch)).maps)
    assert model.forward_images == 2 * len(batch)


def test_another_objective_is_not_shared():
    model, batch = toy_model(), shared_batch()
    GradCam()(model, batch)
    assert torch.equal(FinerCam()(model, batch).maps, FinerCam()(model, _fresh(batch)).maps)


def test_part_of_a_block_is_its_own():
    """Rows that were computed together are kept together; other rows are computed."""
    model, batch = _counting(), shared_batch()
    GradCam()(model, batch)
    part = batch.take([2, 0])
    maps = GradCam()(model, part).maps
    assert model.forward_images == len(batch) + 2
    assert torch.equal(maps, GradCam()(model, _fresh(part)).maps)
    assert part.take([1]).block()[1] == (0,)
    assert part.reseeded(part.seeds).take([0]).block() == (batch, (2,))


@pytest.mark.parametrize("change", ["targets", "weights", "hook", "layer"])
def test_what_is_no_longer_so_is_computed_anew(change):
    model, batch = toy_model(), shared_batch()
    layer = model.cam_layer
    maps, gradients = block_layer_gradients(model, batch, layer)
    if change == "targets":
        batch = replace(batch, targets=1 - batch.targets)
    elif change == "weights":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
    elif change == "hook":
        model.module(layer).register_forward_hook(lambda _, __, output: 2 * output)
    else:
        layer = next(name for name, each in model.net.named_modules() if name and name != layer)
    again, others = block_layer_gradients(model, batch, layer)
    fresh = block_layer_gradients(model, _fresh(batch), layer)
    assert torch.equal(again, fresh[0])
    assert torch.equal(others, fresh[1])
    assert not (torch.equal(maps, again) and torch.equal(gradients, others))


def test_seconds_are_lent(monkeypatch):
    """Who finds what was kept is told the seconds that it took."""
    model, batch = toy_model(), shared_batch()
    seconds = itertools.count(0.0, 10.0)
    with monkeypatch.context() as patch:
        patch.setattr(kept_gradients.time, "perf_counter", lambda: next(seconds))
        block_image_gradients(model, batch, "logit")
    assert batch.gradients.lent_seconds == 0
    block_image_gradients(model, batch, "logit")
    assert batch.gradients.lent_seconds == 10
    assert InputXGradient()(model, batch).seconds > 10


def test_what_is_held_is_bounded(monkeypatch):
    model, batch = _counting(), shared_batch()
    first, second = batch.take([0]), batch.take([1])
    size = first.images.numel() * 4
    monkeypatch.setattr(kept_gradients, "_MOST_BYTES", size)
    for part in (first, second, first, second):
        block_image_gradients(model, part, "logit")
    assert model.forward_images == 3  # the first is kept, the second is one too many


def test_whoever_wants_no_gradients_of_their_own_gets_these():
    model, batch = toy_model(), shared_batch()
    wanted = block_layer_gradients(model, _fresh(batch), model.cam_layer)
    with torch.no_grad():
        found = block_layer_gradients(model, batch, model.cam_layer)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert not any(tensor.requires_grad for tensor in found)
