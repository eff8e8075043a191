"""What a plugin is tried on: small seeded models and images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaibench.engine import Batch
from xaibench.models.base import Classifier
from xaibench.randomness import image_seed
from xaibench.types import Head

SIDE, IMAGES = 32, 5


def toy_model(head: Head = "softmax", channels: int = 3, seed: int = 0) -> Classifier:
    """Return a small convolutional classifier with global average pooling, seeded."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential()
        net.add_module("stem", nn.Conv2d(channels, 8, 5, 2, 2))
        net.add_module("norm", nn.BatchNorm2d(8))
        net.add_module("act", nn.ReLU())
        net.add_module("last", nn.Conv2d(8, 16, 3, 2, 1))
        net.add_module("last_act", nn.ReLU())
        net.add_module("pool", nn.AdaptiveAvgPool2d(1))
        net.add_module("flat", nn.Flatten())
        net.add_module("fc", nn.Linear(16, 1 if head == "single_logit" else 2))
        with torch.no_grad():  # confident enough for scores to move when pixels go
            net.fc.weight.mul_(8)
    model = Classifier(
        net,
        head=head,
        classes=("a", "b"),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        cam_layer="last_act",
        linear_head="fc",
        pool="pool",
        input_shape=(channels, SIDE, SIDE),
        batch_size=16,
    )
    return model.eval()


def toy_batch(channels: int = 3, images: int = IMAGES, seed: int = 0) -> Batch:
    """Return seeded images with blocks of structure, segments and masks."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(images, channels, 4, 4, generator=generator)
    fine = torch.rand(images, channels, SIDE, SIDE, generator=generator)
    pixels = 0.7 * nn.functional.interpolate(coarse, SIDE) + 0.3 * fine
    cells = torch.arange(SIDE) // 8
    # Images have different numbers of segments, as superpixels have.
    segments = torch.stack(
        [(cells[:, None] * 4 + cells) // (1 + i % 2) for i in range(images)]
    ).contiguous()
    masks = torch.zeros(images, SIDE, SIDE, dtype=torch.bool)
    masks[1:, 8:20, 8:20] = True  # the first image has no evidence
    # Of a draw of their own: the other images stay what they were, and none is its own reference.
    drawn = torch.Generator().manual_seed(seed + 1)
    references = torch.rand(4, channels, SIDE, SIDE, generator=drawn)
    ids = tuple(f"image_{i}" for i in range(images))
    return Batch(
        images=pixels,
        labels=torch.arange(images) % 2,
        targets=torch.arange(images) % 2,
        ids=ids,
        groups=ids,
        masks={"evidence": masks},
        segments=segments,
        seeds=torch.tensor([image_seed(seed, i) for i in ids]),
        dataset_mean=pixels.mean(dim=(0, 2, 3)),
        references=references,
    )


@dataclass(frozen=True)
class Stage:
    """What a plugin is tried on; made anew for each check, so that none spoils the next."""

    head: Head
    channels: int

    def model(self, seed: int = 0) -> Classifier:
        return toy_model(self.head, self.channels, seed)

    def batch(self) -> Batch:
        return toy_batch(self.channels)

    def maps(self) -> Tensor:
        return torch.rand(IMAGES, SIDE, SIDE, generator=torch.Generator().manual_seed(1))

    def __str__(self) -> str:
        return f" ({self.head}, {self.channels} channels)"
