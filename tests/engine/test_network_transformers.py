"""Transformers through the engine: its copy, its windows, layers drawn anew, stages."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch
from xaibench.engine import BoxMasks, fill_images, masked_scores, window_scores
from xaibench.engine.network import forward_network
from xaibench.models.timm import Timm
from xaibench.networks.randomisation import draw_anew, layers_of, pictures

NETS = {
    "test_vit": (32, 48),
    "test_mambaout": (64, 64),
    "eva02_tiny_patch14_224": (28, 42),
    "deit_tiny_distilled_patch16_224": (32, 48),
}


@pytest.fixture(params=NETS)
def case(request):
    size = NETS[request.param]
    torch.manual_seed(0)
    model = Timm(request.param, weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=size
    )
    with torch.no_grad():  # as they are drawn, nothing moves
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(3)
    batch = toy_batch(images=2)
    images = F.interpolate(batch.images, size)
    segments = torch.zeros(2, *size).long()
    return model.eval(), replace(batch, images=images, masks={}, segments=segments)


def test_the_engines_copy_gives_the_models_scores(case):
    model, batch = case
    network = forward_network(model)
    assert network.net is not None
    with torch.inference_mode():
        scores = network.scores(network.normalised(batch.images), batch.targets, "logit")
    with torch.no_grad():
        wanted = model.score(batch.images, batch.targets, "logit")
    torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-5)


def test_windows_are_whole_passes(case):
    model, batch = case
    size = tuple(batch.images.shape[2:])
    boxes = torch.tensor([[0, 16, 0, 16], [8, 24, 16, 32]])
    masks = BoxMasks(boxes, size, torch.tensor([2, 2]))
    fills = fill_images(batch, "dataset_mean")
    asked = (model, batch.images, fills, batch.targets, masks, "logit")
    torch.testing.assert_close(window_scores(*asked), masked_scores(*asked), rtol=1e-4, atol=1e-5)


def test_layers_drawn_anew_change_the_scores(case):
    model, batch = case
    before = copy.deepcopy(model.net)
    normal = (batch.images - model.mean) / model.std
    names = layers_of(model.net, normal)
    made = (pictures(model.input_shape, 0) - model.mean) / model.std
    draw_anew(model.net, names, made, seed=0)
    with torch.no_grad():
        fresh, old = model.net(normal), before(normal)
    assert fresh.isfinite().all()
    assert not torch.allclose(fresh, old, rtol=1e-2)
    assert not torch.allclose(fresh[0], fresh[1], rtol=1e-6)  # they still look at the image


def test_stages_hold_all_but_the_heads(case):
    model, _ = case
    inside = tuple(f"{name}." for stage in model.stages for name in stage)
    single = {name for stage in model.stages for name in stage}
    left = {
        name.partition(".")[0]
        for name, _ in model.net.named_parameters()
        if not name.startswith(inside) and name not in single
    }
    assert left <= {"head", "head_dist"}
