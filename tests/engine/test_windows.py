"""Scores of windows on patches, against whole passes and against arithmetic by hand."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_windows import (
    BOXES,
    classifier,
    fits,
    mixed,
    patches_of,
    question,
    recompute_everything,
    stacks,
)

from xaibench.engine import BoxMasks, masked_scores, window_scores
from xaibench.engine.windows import scores as at_work
from xaibench.engine.windows.plan import local_steps


@pytest.fixture
def everywhere(monkeypatch):
    recompute_everything(monkeypatch)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize(
    ("head", "space"), [("softmax", "prob"), ("single_logit", "logit"), ("multilabel", "prob")]
)
def test_equals_whole_passes_whatever_the_batch_size(head, space, batch_size):
    model = mixed(head, batch_size=batch_size)
    asked = question(images=5)
    scores = window_scores(model, *asked, space)
    assert model.passes.forward == 5 * len(BOXES)
    assert scores == pytest.approx(masked_scores(model, *asked, space), abs=1e-5)
    assert {"stem_0", "wide", "mean", "cat", "down"} <= patches_of(model)
    assert len(scores.unique()) > 20  # windows and images differ


@settings(max_examples=40, deadline=None)
@given(net=stacks().filter(fits), share=st.sampled_from([0.3, 0.7, 1.0]))
def test_any_kernels_equal_whole_passes(net, share):
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(4, 2))
    model = classifier(net.eval(), "regression", channels=2)
    boxes = [[0, 4, 0, 4], [6, 7, 9, 10], [13, 40, -3, 5], [18, 19, 20, 21], [0, 19, 0, 21]]
    asked = question(size=(19, 21), boxes=boxes, channels=2)

    def plan(flow, shapes, window, *_):
        found = local_steps(flow, shapes, window).below(share)
        return found if found.reach else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_work, "best_plan", plan)
        boxes = BoxMasks(asked[3].boxes[:-1], (19, 21), asked[3].counts - 1)
        for masks in (boxes, asked[3]):
            scores = window_scores(model, *asked[:3], masks)
            whole = masked_scores(model, *asked[:3], masks)
            assert scores == pytest.approx(whole, abs=1e-5, rel=1e-5)


WHOLE = {
    "means over pixels outside that do not count": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    "means that hang over": nn.AvgPool2d(2, 2, ceil_mode=True),
    "mirrored borders": nn.Conv2d(4, 4, 3, 1, 1, padding_mode="reflect"),
    "statistics of the batch": nn.BatchNorm2d(4, track_running_stats=False),
    "statistics of the map": nn.GroupNorm(2, 4),
}


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("step", WHOLE)
def test_steps_that_are_not_local_see_whole_maps(step):
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 2))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), WHOLE[step], nn.Conv2d(4, 4, 2), nn.ReLU(), *head)
    model = classifier(net, "regression")
    asked = question(size=(21, 23), boxes=[[0, 4, 0, 4], [17, 21, 18, 23], [9, 12, 3, 9]])
    scores = window_scores(model, *asked)
    assert scores == pytest.approx(masked_scores(model, *asked), abs=1e-5)
    assert patches_of(model) == {"input_1", "_0"}


NETWORKS = {
    "resnet18": "layer2_0_conv1",
    "resnet14t": "layer1_0_conv1",
    "tf_efficientnet_lite0": "blocks_2_0_conv_dw",
    "efficientnet_b0": "conv_stem",
    "densenet121": "features_denseblock1_denselayer3_conv2",
}


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_known_networks_equal_whole_passes(name, precision):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=2)
    model = classifier(net, precision=precision, batch_size=16)
    asked = question(
        images=1, size=(96, 64), boxes=[[0, 16, 8, 24], [40, 56, 30, 46], [90, 106, 60, 76]]
    )
    scores, whole = (f(model, *asked, "logit") for f in (window_scores, masked_scores))
    exact = 1e-5 if precision == "fp32" else 1e-2
    assert scores == pytest.approx(whole, rel=exact, abs=exact)
    assert NETWORKS[name] in patches_of(model)
    assert (whole - whole.mean()).abs().max() > exact


def test_a_small_window_is_worth_patches_and_a_large_one_is_not():
    model = classifier(timm.create_model("resnet18", num_classes=2))
    small = [[8 * i, 8 * i + 16, 40, 56] for i in range(16)]
    asked = question(images=1, size=(160, 160), boxes=small)
    scores = window_scores(model, *asked)
    assert {"conv1", "layer1_1_conv2"} <= patches_of(model)
    assert "layer4_1_conv2" not in patches_of(model)
    assert scores == pytest.approx(masked_scores(model, *asked), abs=1e-5)
    large = question(images=1, size=(160, 160), boxes=[[0, 120, 0, 120]])
    assert torch.equal(window_scores(model, *large), masked_scores(model, *large))
    assert patches_of(model) == set()


def test_the_cost_of_whole_passes_is_their_multiply_adds(monkeypatch):
    """ResNet-18 at 224 pixels takes 1.81 billion of them (He et al. 2016, table 1: 1.8)."""
    monkeypatch.setattr("xaibench.engine.windows.plan._MOVE", 0)
    model = classifier(timm.create_model("resnet18"))
    plans = []
    monkeypatch.setattr(at_work, "best_plan", lambda *found: plans.append(local_steps(*found[:3])))
    window_scores(model, *question(images=1, size=(224, 224), boxes=[[8, 24, 8, 24]]))
    assert plans[0].below(0.0).cost(1, 64, "cpu") == pytest.approx(1.814e9, rel=1e-3)


@pytest.mark.usefixtures("everywhere")
def test_a_linear_model_by_hand():
    """Sum of 3 x 3 means (zeros around): a pixel counts with the share of kernels that hold it."""
    net = nn.Sequential(nn.Conv2d(1, 1, 3, 1, 1, bias=False), nn.AvgPool2d(8), nn.Flatten())
    nn.init.constant_(net[0].weight, 1 / 9)
    net.append(nn.Linear(1, 1, bias=False))
    nn.init.constant_(net[3].weight, 64.0)
    model = classifier(net, "regression", channels=1)
    model.mean.zero_(), model.std.fill_(1)
    boxes = [[2, 4, 3, 6], [0, 2, 0, 1], [6, 12, 6, 12]]
    images, _, _, masks = question(images=2, size=(8, 8), boxes=boxes, channels=1)
    targets = torch.zeros(2, dtype=torch.int64)
    scores = window_scores(model, images, torch.zeros_like(images), targets, masks)
    edge = torch.tensor([2.0] + [3.0] * 6 + [2.0])
    weighed = images[:, 0] * torch.outer(edge, edge) / 9
    for m, (top, bottom, left, right) in enumerate(boxes):
        by_hand = weighed.sum((1, 2)) - weighed[:, top:bottom, left:right].sum((1, 2))
        assert scores[:, m] == pytest.approx(by_hand, rel=1e-5)
    assert "_1" in patches_of(model)
