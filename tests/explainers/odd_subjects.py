"""Models and batches of other sizes, channels and numbers of classes than the stage's own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from xaibench.checks.stage import toy_batch
from xaibench.models.base import Classifier


def linear_model(channels=3, size=(32, 32), classes=2, seed=0):
    """Each logit is a weighted sum of the image, plus a bias."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(channels * size[0] * size[1], classes))
    return _classifier(net, channels, size, classes, "softmax", seed)


def small_cnn(channels=3, size=(33, 47), classes=2, head="softmax", seed=0, batch_size=16):
    outputs = 1 if head == "single_logit" else classes
    net = nn.Sequential()
    net.add_module("stem", nn.Conv2d(channels, 6, 5, 2, 2))
    net.add_module("act", nn.ReLU())
    net.add_module("last", nn.Conv2d(6, 10, 3, 2, 1))
    net.add_module("last_act", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("fc", nn.Linear(10, outputs))
    return _classifier(net, channels, size, classes, head, seed, batch_size)


def _classifier(net, channels, size, classes, head, seed, batch_size=16):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            bound = 3 / max(1, parameter[0].numel()) ** 0.5
            parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound)
    return Classifier(
        net,
        head=head,
        classes=tuple(f"class_{i}" for i in range(classes)),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        cam_layer="last_act" if hasattr(net, "last_act") else None,
        linear_head=None,
        pool=None,
        input_shape=(channels, *size),
        batch_size=batch_size,
    ).eval()


def batch_of(images, targets=None, segments=None):
    """The given images, with squares of 8 pixels as superpixels."""
    count, channels, height, width = images.shape
    base = toy_batch(channels, count)
    rows, columns = torch.arange(height) // 8, torch.arange(width) // 8
    squares = rows[:, None] * (int(columns[-1]) + 1) + columns
    return replace(
        base,
        images=images,
        targets=base.targets if targets is None else targets,
        masks={},
        segments=squares.expand(count, -1, -1) if segments is None else segments,
        dataset_mean=images.mean((0, 2, 3)),
    )


def random_images(count=3, channels=3, size=(33, 47), seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 5, 5, generator=generator)
    fine = torch.rand(count, channels, *size, generator=generator)
    return 0.7 * nn.functional.interpolate(coarse, size) + 0.3 * fine


def linear_weights(model, batch):
    """The gradient of each image's own target's logit at the image."""
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, "logit").sum()
    return torch.autograd.grad(score, images)[0]
