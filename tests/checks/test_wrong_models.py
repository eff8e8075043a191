"""Each wrong model is found by the check whose name promises it; a sound one by none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from xaibench.checks.plugins import checks_for
from xaibench.errors import UserError
from xaibench.models.base import Classifier, Model, head_for

FIRST = "builds a classifier for the data set's task, classes and images"


class Sound(Model):
    name: ClassVar[str] = "wrong"
    classifier: ClassVar[type] = Classifier

    def net(self, channels: int, outputs: int) -> nn.Module:
        net = nn.Sequential()
        net.add_module("body", nn.Conv2d(channels, 6, 3, 2, 1))
        net.add_module("norm", nn.BatchNorm2d(6))
        net.add_module("act", nn.ReLU())
        net.add_module("pool", nn.AdaptiveAvgPool2d(1))
        net.add_module("flat", nn.Flatten())
        net.add_module("fc", nn.Linear(6, outputs))
        return net

    def more(self, channels: int) -> dict[str, object]:
        return {}

    def build(self, *, task, classes, channels, size):
        told = {
            "head": head_for(task, False),
            "classes": classes,
            "mean": (0.5,) * channels,
            "std": (0.25,) * channels,
            "cam_layer": "act",
            "pool": "pool",
            "linear_head": "fc",
            "input_shape": (channels, *size),
        }
        return self.classifier(self.net(channels, len(classes)), **told | self.more(channels))


def model(**members) -> Model:
    return dataclass(frozen=True)(
        type("Wrong", (Sound,), {"__doc__": "A test's plugin.", **members})
    )()


def with_net(change):
    """A model whose network is changed, or replaced."""

    def net(self, channels, outputs):
        made = Sound.net(self, channels, outputs)
        return change(made) or made

    return model(net=net)


def more(**told):
    return model(more=lambda self, channels: told)


def classifier(**members):
    return model(classifier=type("Wrong", (Classifier,), members))


class Training(nn.Module):
    """Draws in evaluation mode, too."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5, training=True)


class Tracking(nn.BatchNorm2d):
    """Follows its batches in evaluation mode, too."""

    def forward(self, x):
        self.running_mean += 0.1 * x.mean((0, 2, 3)).detach()
        return super().forward(x)


class OfTheBatch(nn.Module):
    """Less the mean of its batch."""

    def forward(self, x):
        return x - x.mean(0, keepdim=True) / 2


class Cut(nn.Module):
    """Lets no gradient through."""

    def forward(self, x):
        return x.detach()


class Hidden(nn.Module):
    """Has a weight that no state dict holds."""

    def __init__(self):
        super().__init__()
        self.scale = torch.rand(1) + 0.5

    def forward(self, x):
        return x * self.scale


def of_numpy(self, channels, outputs):
    net = Sound.net(self, channels, outputs)
    with torch.no_grad():
        net.fc.weight.fill_(float(np.random.rand()))
    return net


def sum_of_scores(self, images, targets, space="prob"):
    return Classifier.score(self, images, targets, space) * (0.5 if space == "prob" else 1)


def frozen(net):
    net.requires_grad_(False)


def square(self, *, task, classes, channels, size):
    return Sound.build(self, task=task, classes=classes, channels=channels, size=size[:1] * 2)


def eight_at_most(self, channels, outputs):
    return Sound.net(self, channels, min(outputs, 8))


def of_colour(self, channels, outputs):
    return Sound.net(self, 3, outputs)


WRONG = {
    FIRST: model(build=lambda self, *, task, classes, channels, size: self.net(channels, 2)),
    "builds for 16 classes": model(net=eight_at_most),
    "builds for several labels": model(
        more=lambda self, channels: {"head": "softmax"},
    ),
    "builds for images of one channel": model(net=of_colour),
    "builds for images that are not square": model(build=square),
    "normalises images inside": more(mean=(128.0,) * 3),
    "gives scores that are probabilities": classifier(score=sum_of_scores),
    "gives the same twice": with_net(lambda net: net.__setitem__(2, Training())),
    "whole batch = one by one": with_net(lambda net: net.__setitem__(2, OfTheBatch())),
    "counts its passes": classifier(forward=lambda self, x: self.net((x - self.mean) / self.std)),
    "lets gradients reach the image": with_net(lambda net: net.__setitem__(2, Cut())),
    "names modules that exist": more(cam_layer="layer4"),
    "can be trained": with_net(frozen),
    "loads its own state dict": with_net(lambda net: net.__setitem__(2, Hidden())),
    "is drawn by torch's seed alone": model(net=of_numpy),
    "leaves weights and buffers as found": with_net(lambda net: net.__setitem__(1, Tracking(6))),
}


def results(plugin, promise=None):
    return [c.run() for c in checks_for(plugin) if promise in (None, c.promise)]


@pytest.mark.parametrize("promise", WRONG)
def test_a_wrong_model_is_found(promise):
    found = results(WRONG[promise], promise)
    assert any(result.state == "failed" for result in found), found


def test_a_sound_model_passes():
    assert [r for r in results(model()) if r.failed] == []


def test_what_a_model_refuses_is_told():
    def build(self, *, task, classes, channels, size):
        if task == "regression":
            raise UserError("task: no regression")
        return Sound.build(self, task=task, classes=classes, channels=channels, size=size)

    found = results(model(build=build), "builds for regression")
    assert [(r.state, r.why) for r in found] == [("refused", "task: no regression")]


def test_a_model_that_refuses_all_has_failed():
    def build(self, *, task, classes, channels, size):
        raise UserError("weights: no such file")

    found = results(model(build=build), "builds for something that it is tried on")
    assert [(r.state, r.why) for r in found] == [
        ("failed", "refuses all of it: weights: no such file")
    ]
