"""CAM against the literal sum over feature maps, and the models that it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.cam import Cam
from xaibench.models.base import Classifier
from xaibench.models.timm import Timm

HEADS = ["softmax", "single_logit", "multilabel"]


def resnet(**options) -> Classifier:
    torch.manual_seed(0)
    model = Timm("resnet18", weights="none", **options)
    return model.build(task="binary", classes=("a", "b"), channels=3, size=(64, 64)).eval()


@torch.no_grad()
def features_of(model: Classifier, batch, before: str) -> torch.Tensor:
    """The input of the pooling module, by running the network's parts one after the other."""
    x = (batch.images - model.mean) / model.std
    if hasattr(model.net, "forward_features"):
        return model.net.forward_features(x)
    for name, module in model.net.named_children():
        if name == before:
            return x
        x = module(x)
    raise AssertionError(before)


def literal_small_map(model: Classifier, features, target: int):
    """Zhou et al., equation 2: m(x, y) = sum_k w_k f_k(x, y); w is -w for class 0 of one logit."""
    weight = model.module(model.linear_head).weight.detach()
    row, sign = (0, 1 if target == 1 else -1) if model.head == "single_logit" else (target, 1)
    small = torch.zeros(features.shape[1:])
    for k in range(features.shape[0]):
        small += sign * weight[row, k] * features[k]
    return small


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("target", [0, 1])
def test_equals_literal_sum(head, target):
    model, batch = toy_model(head), toy_batch()
    batch.targets.fill_(target)
    maps = Cam()(model, batch).maps
    features = features_of(model, batch, "pool")
    for i in range(len(batch)):
        small = literal_small_map(model, features[i], target)
        twin = F.interpolate(small[None, None], size=(32, 32), mode="bilinear")[0, 0]
        assert maps[i] == pytest.approx(twin, abs=1e-6)


@pytest.mark.parametrize("single_logit", [False, True])
def test_equals_literal_sum_on_resnet(single_logit):
    model = resnet(single_logit=single_logit)
    batch = toy_batch(images=2)
    batch.segments.zero_()
    maps = Cam()(model, batch).maps
    features = features_of(model, batch, "global_pool")
    for i in range(len(batch)):
        small = literal_small_map(model, features[i], int(batch.targets[i]))
        twin = F.interpolate(small[None, None], size=(32, 32), mode="bilinear")[0, 0]
        assert maps[i] == pytest.approx(twin, abs=1e-6)


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_mean_of_the_small_map_and_the_bias_are_the_logit(head):
    model, batch = toy_model(head), toy_batch()
    features = features_of(model, batch, "pool")
    logits = model.score(batch.images, batch.targets, "logit")
    bias = model.module("fc").bias
    for i, target in enumerate(batch.targets.tolist()):
        own = (1 if target else -1) * bias[0] if head == "single_logit" else bias[target]
        small = literal_small_map(model, features[i], target)
        assert (small.mean() + own).item() == pytest.approx(logits[i].item(), abs=1e-5)


def test_classes_of_a_single_logit_have_opposite_maps():
    model, batch = toy_model("single_logit"), toy_batch()
    batch.targets.fill_(0)
    negative = Cam()(model, batch).maps
    batch.targets.fill_(1)
    assert torch.equal(Cam()(model, batch).maps, -negative)


def test_costs_one_pass():
    passes = Cam()(toy_model(), toy_batch()).passes
    assert (passes.forward, passes.backward) == (5, 0)


def flat_head() -> Classifier:
    """A toy whose head sees every position: no global average pooling."""
    net = nn.Sequential(nn.Conv2d(3, 4, 5, 4, 2), nn.Flatten(), nn.Linear(4 * 8 * 8, 2))
    return Classifier(
        net,
        head="softmax",
        classes=("a", "b"),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        cam_layer="0",
        linear_head="2",
        pool=None,
        input_shape=(3, 32, 32),
    )


def max_pooled() -> Classifier:
    model = toy_model()
    model.net.pool = nn.AdaptiveMaxPool2d(1)
    return model


def squashed() -> Classifier:
    """A toy that changes what was pooled before its linear layer reads it."""
    model = toy_model()
    model.net.flat = nn.Sequential(nn.Flatten(), nn.Tanh())
    return model


def pooled_to_four() -> Classifier:
    model = toy_model()
    model.net.pool = nn.AdaptiveAvgPool2d(2)
    model.net.fc = nn.Linear(64, 2)
    return model


def from_timm(architecture: str, **options) -> Classifier:
    model = Timm(architecture, weights="none", **options)
    return model.build(task="binary", classes=("a", "b"), channels=3, size=(32, 32)).eval()


@pytest.mark.parametrize(
    "model",
    [
        flat_head,
        max_pooled,
        squashed,
        pooled_to_four,
        lambda: from_timm("convnext_atto"),
        lambda: from_timm("vit_tiny_patch16_224"),
    ],
    ids=["flat", "max", "squashed", "four", "convnext", "vit"],
)
def test_models_without_global_average_pooling_are_refused(model):
    with pytest.raises(UserError, match=r"global average pooling.*use grad_cam"):
        Cam().check(model())


def test_models_with_global_average_pooling_pass_the_check():
    Cam().check(toy_model())
    Cam().check(resnet())
