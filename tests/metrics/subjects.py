"""Small subjects of all kinds for metrics: heads, sizes, channels, and linear models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xaibench.engine import Batch
from xaibench.models.base import Classifier
from xaibench.randomness import image_seed


def net_model(head="softmax", channels=3, size=(33, 47), outputs=2) -> Classifier:
    """A small convolutional classifier of images of any size."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 5, 2, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(32, 1 if head == "single_logit" else outputs),
        )  # fmt: skip
        net[-1].weight.data.mul_(8)
    names = ("a", "b") if head == "single_logit" else tuple(f"c{k}" for k in range(outputs))
    model = Classifier(
        net, head=head, classes=names, mean=(0.5,) * channels, std=(0.25,) * channels,
        cam_layer="3", linear_head=None, pool=None, input_shape=(channels, *size), batch_size=16,
    )  # fmt: skip
    return model.eval()


def linear_model(weights: Tensor) -> Classifier:
    """A regressor whose output is the sum of weights (channel, height, width) times the image."""
    linear = nn.Linear(weights.numel(), 1, bias=False)
    linear.weight.data = weights.flatten()[None].float()
    return Classifier(
        nn.Sequential(nn.Flatten(), linear), head="regression", classes=("y",),
        mean=(0.0,) * len(weights), std=(1.0,) * len(weights), cam_layer=None, linear_head="1",
        pool=None, input_shape=tuple(weights.shape), batch_size=16,
    ).eval()  # fmt: skip


def images_batch(channels=3, size=(33, 47), images=3, classes=2, seed=0) -> Batch:
    """Seeded images with structure; targets go through the classes."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(images, channels, 4, 4, generator=generator)
    fine = torch.rand(images, channels, *size, generator=generator)
    pixels = 0.7 * nn.functional.interpolate(coarse, size) + 0.3 * fine
    rows, columns = (torch.arange(side) * 4 // side for side in size)
    grid = rows[:, None] * 4 + columns
    # Images have different numbers of segments, as superpixels have.
    segments = torch.stack([grid // (1 + i % 2) for i in range(images)])
    ids = tuple(f"image_{i}" for i in range(images))
    return Batch(
        images=pixels, labels=torch.arange(images) % classes,
        targets=torch.arange(images) % classes, ids=ids, groups=ids,
        masks={"evidence": torch.ones(images, *size, dtype=torch.bool)}, segments=segments,
        seeds=torch.tensor([image_seed(seed, i) for i in ids]),
        dataset_mean=pixels.mean(dim=(0, 2, 3)),
    )  # fmt: skip


def signed_maps(batch: Batch, seed: int = 1) -> Tensor:
    """Maps without ties, of both signs."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(batch), *batch.images.shape[2:], generator=generator)
