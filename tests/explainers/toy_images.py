"""Batches of any size and number of classes, and linear models, for explainers' tests."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import Batch
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount

ODD = (33, 47)


def sized_batch(size: tuple[int, int], channels: int = 3, images: int = 3, classes: int = 2):
    """Return seeded images of a size; targets go round the classes."""
    generator = torch.Generator().manual_seed(1)
    batch = toy_batch(channels, images)
    rows = torch.arange(size[0])[:, None] // 8
    segments = (rows * 8 + torch.arange(size[1]) // 8).expand(images, -1, -1).contiguous()
    return replace(
        batch,
        images=torch.rand(images, channels, *size, generator=generator),
        masks={},
        segments=segments.unique(return_inverse=True)[1],
        targets=torch.arange(images) % classes,
        references=torch.rand(4, channels, *size, generator=generator),
    )


def linear_model(batch: Batch, classes: int = 2) -> tuple[Classifier, Tensor]:
    """Return a model whose scores are sum(w * image), and the w of each image's target."""
    channels, height, width = batch.images.shape[1:]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        linear = nn.Linear(channels * height * width, classes, bias=False)
    model = Classifier(
        nn.Sequential(nn.Flatten(), linear),
        head="regression",
        classes=tuple("abcdefghijklmnop"[:classes]),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        cam_layer=None,
        linear_head="1",
        pool=None,
        input_shape=(channels, height, width),
        batch_size=4,
    ).eval()
    return model, linear.weight[batch.targets].detach().view_as(batch.images)


def wide_model(classes: int, channels: int = 3) -> Classifier:
    """Return the toy network with another number of classes."""
    model = toy_model(channels=channels)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model.net.fc = nn.Linear(16, classes)
        nn.init.normal_(model.net.fc.weight)
    model.classes = tuple("abcdefghijklmnop"[:classes])
    return model.eval()


def assert_exact_on_linear(explainer: Explainer, batch: Batch, tolerance: float = 1e-5) -> None:
    """Hold an explainer to what it says of itself on a linear model."""
    model, weights = linear_model(batch)
    promised = explainer.on_linear_model(weights, batch)
    found = explainer(model, batch).maps
    scale = max(float(promised.abs().max()), 1e-6)
    assert (found - promised).abs().max() <= tolerance * scale


def assert_costs_what_it_says(explainer: Explainer, model: Classifier, batch: Batch) -> None:
    passes = explainer(model, batch).passes
    assert explainer.cost(model, batch) == passes
    assert passes != PassCount()


def assert_sound(explainer: Explainer, tolerance: float = 1e-5) -> None:
    """Odd sizes, one channel, 16 classes, a constant image, one image; batch = one by one."""
    for channels, classes in ((3, 16), (1, 2)):
        model, batch = wide_model(classes, channels), sized_batch(ODD, channels, 3, classes)
        batch.images[1] = 0.4  # a constant image
        batch = replace(batch, targets=batch.targets + (classes - 3) * (classes > 3))
        whole = explainer(model, batch).maps
        assert whole.shape == (3, *ODD)
        assert whole.isfinite().all()
        assert torch.equal(whole, explainer(model, batch).maps)
        alone = torch.cat([explainer(model, batch.take([i])).maps for i in range(3)])
        turned = explainer(model, batch.take([2, 1, 0])).maps[[2, 1, 0]]
        scale = float(whole.abs().max())
        assert (whole - alone).abs().max() <= tolerance * scale
        assert (whole - turned).abs().max() <= tolerance * scale
        other = explainer(model, replace(batch, targets=(batch.targets + 1) % classes)).maps
        assert not torch.allclose(whole, other, atol=1e-3 * scale)
