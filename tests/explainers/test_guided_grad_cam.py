"""Guided Grad-CAM: captum's, a literal twin, networks whose ReLUs work in place or are shared."""

from __future__ import annotations

import warnings

import pytest
import timm
import torch
from captum.attr import GuidedGradCam as Peer
from torch import nn
from torch.nn import functional as F
from toy_images import ODD, assert_costs_what_it_says, assert_sound, sized_batch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.guided_grad_cam import GuidedGradCam
from xaibench.models.base import HOOK_TABLES, Classifier


class Score(nn.Module):
    """The target's score with the network as a child, as captum wants it."""

    def __init__(self, model, space="logit"):
        super().__init__()
        self.model, self.space = model, space

    def forward(self, images, targets):
        return self.model.score(images, targets, self.space)


@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel", "regression"])
@pytest.mark.parametrize("space", ["logit", "prob"])
@pytest.mark.parametrize("layer", ["last_act", "last", "act"])
def test_equals_captum(head, space, layer):
    model, batch = toy_model(head), toy_batch(images=2)
    signed = GuidedGradCam(layer, "sum", space)(model, batch).maps
    unsigned = GuidedGradCam(layer, "mean_abs", space)(model, batch).maps
    for i in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = (
                Peer(Score(model, space), getattr(model.net, layer))
                .attribute(
                    batch.images[i : i + 1].clone(),
                    additional_forward_args=(batch.targets[i : i + 1],),
                    interpolate_mode="bilinear",
                )[0]
                .detach()
            )
        scale = float(peer.abs().max())
        assert signed[i] == pytest.approx(peer.sum(0), abs=1e-5 * scale)
        assert unsigned[i] == pytest.approx(peer.abs().mean(0), abs=1e-5 * scale)


class Shared(nn.Module):
    """One ReLU, in place, used three times, with a residual sum between."""

    def __init__(self, inplace):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.fc = nn.ReLU(inplace=inplace), nn.Linear(6, 2)

    def forward(self, x):
        x = self.relu(self.one(x))
        x = self.relu(self.two(x) + x)
        x = self.relu(-self.two(x) + x)
        return self.fc(x.mean((2, 3)))


def shared_model(inplace):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Shared(inplace)
    return Classifier(
        net, head="softmax", classes=("a", "b"), mean=(0.5,) * 3, std=(0.25,) * 3,
        cam_layer="two", linear_head="fc", pool=None, input_shape=(3, 32, 32),
    ).eval()  # fmt: skip


def literal(model, image, target):
    """The chain rule by hand: at a ReLU a gradient goes on where it and the input are positive."""
    net, w = model.net, model.net.fc.weight[target]
    conv = lambda layer, x: F.conv2d(x, layer.weight, layer.bias, padding=1)
    back = lambda layer, g: F.conv_transpose2d(g, layer.weight, padding=1)
    a = conv(net.one, (image[None] - 0.5) / 0.25)
    x1 = a.relu()
    b = conv(net.two, x1) + x1
    x2 = b.relu()
    last = conv(net.two, x2)
    c = -last + x2
    mean = w.view(1, -1, 1, 1).expand_as(c) / c[0, 0].numel()
    cam = -(mean * (c > 0)).mean((2, 3), keepdim=True) * last
    cam = cam.sum(1, keepdim=True).relu()
    guided = mean.relu() * (c > 0)
    guided = (guided - back(net.two, guided)).relu() * (b > 0)
    guided = (guided + back(net.two, guided)).relu() * (a > 0)
    return (back(net.one, guided) / 0.25 * cam)[0]


@pytest.mark.parametrize("inplace", [True, False])
@torch.no_grad()
def test_a_shared_relu_in_place_equals_the_chain_rule_by_hand(inplace):
    model, batch = shared_model(inplace), toy_batch(images=2)
    maps = GuidedGradCam(channels="sum")(model, batch).maps
    for i in range(2):
        twin = literal(model, batch.images[i], int(batch.targets[i])).sum(0)
        assert maps[i] == pytest.approx(twin, abs=1e-5 * float(twin.abs().max()))
        assert twin.abs().max() > 0
    assert model.net.relu.inplace == inplace


def test_a_residual_network_is_left_as_found():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model("resnet10t", num_classes=2)
    model = Classifier(
        net, head="softmax", classes=("a", "b"), mean=(0.5,) * 3, std=(0.25,) * 3,
        cam_layer="layer4", linear_head="fc", pool=None, input_shape=(3, 33, 47),
    ).eval()  # fmt: skip
    explainer, batch = GuidedGradCam(), sized_batch(ODD, images=2)
    explainer.check(model)
    assert explainer.facts(model)["layer"] == "layer4"
    assert explainer.facts(model)["guided_relus"] > 8
    with torch.no_grad():
        before = model(batch.images)
    explainer.attribute(model, batch)
    with torch.no_grad():
        assert torch.equal(model(batch.images), before)
    assert not any(getattr(m, table) for m in model.modules() for table in HOOK_TABLES)


def test_hooks_are_gone_after_an_exception():
    model, batch = toy_model(), toy_batch(images=1)
    model.net.fc = nn.Linear(7, 2)
    with pytest.raises(RuntimeError):
        GuidedGradCam().attribute(model, batch)
    assert not any(m._forward_hooks for m in model.modules())


def test_a_network_without_relus_is_refused():
    model = toy_model()
    model.net.act, model.net.last_act = nn.GELU(), nn.GELU()
    with pytest.raises(UserError, match=r"no ReLU module .* grad_cam, or by smooth_grad"):
        GuidedGradCam().check(model)


def test_a_model_without_a_layer_to_read_is_refused():
    model = toy_model()
    model.cam_layer = None
    with pytest.raises(UserError, match=r"names no layer to read; set guided_grad_cam's `layer`"):
        GuidedGradCam().check(model)


def test_costs_one_pass_and_two_back():
    assert_costs_what_it_says(GuidedGradCam(), toy_model(), toy_batch(images=3))


@pytest.mark.parametrize("explainer", [GuidedGradCam(), GuidedGradCam(channels="sum")])
def test_sound(explainer):
    assert_sound(explainer)
