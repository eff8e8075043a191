"""What a plugin is tried on: small seeded models, never trained, and images."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from xaibench.engine import Batch
from xaibench.models.base import Classifier
from xaibench.networks import parts
from xaibench.networks.tokens import token_grid
from xaibench.randomness import image_seed
from xaibench.types import Head

SIDE, IMAGES = 32, 5
Size = tuple[int, int]
Network = Literal["cnn", "vit", "swin"]
NETWORKS: tuple[Network, ...] = ("cnn", "vit", "swin")
_ENDED = 8  # by how much the last layer is widened


def toy_model(
    head: Head = "softmax",
    channels: int = 3,
    seed: int = 0,
    *,
    classes: int = 2,
    size: Size = (SIDE, SIDE),
    network: Network = "cnn",
) -> Classifier:
    """Return a small classifier: convolutions with global average pooling, a ViT or a Swin."""
    model = copy.deepcopy(_model(head, channels, seed, classes, size, network))
    return model.eval()


@cache
def _model(
    head: Head, channels: int, seed: int, classes: int, size: Size, network: Network
) -> Classifier:
    outputs = 1 if head == "single_logit" else classes
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if network == "cnn":
            net = _cnn(channels, outputs)
            places = {"cam_layer": "last_act", "linear_head": "fc", "pool": "pool"}
        else:
            net = _transformer(network, channels, outputs, size)
            name = parts.classifier_name(net)
            tokens = token_grid(net, size)
            image = torch.linspace(0, 1, channels * size[0] * size[1]).view(1, channels, *size)
            places = {
                "cam_layer": parts.cam_layer(net.eval(), name, tokens, image),
                "tokens": tokens,
                "linear_head": name,
                "pool": parts.pool_name(net),
                "stages": parts.stages(net, name),
            }
    with torch.no_grad():  # confident enough for scores to move when pixels go
        net.get_submodule(places["linear_head"]).weight.mul_(_ENDED)
    return Classifier(
        net,
        head=head,
        classes=tuple("abcdefghijklmnopqrstuvwxyz"[:classes]),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        input_shape=(channels, *size),
        batch_size=16,
        **places,
    )


def _cnn(channels: int, outputs: int) -> nn.Module:
    net = nn.Sequential()
    net.add_module("stem", nn.Conv2d(channels, 8, 5, 2, 2))
    net.add_module("norm", nn.BatchNorm2d(8))
    net.add_module("act", nn.ReLU())
    net.add_module("last", nn.Conv2d(8, 16, 3, 2, 1))
    net.add_module("last_act", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("fc", nn.Linear(16, outputs))
    return net


def _transformer(network: Network, channels: int, outputs: int, size: Size) -> nn.Module:
    import timm  # takes a second, and most plugins are tried on convolutions alone

    options = {"in_chans": channels, "num_classes": outputs, "img_size": size}
    if network == "vit":
        small = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
        net = timm.create_model("vit_tiny_patch16_224", **options, **small)
    else:
        small = {"patch_size": 4, "embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2)}
        name = "swin_tiny_patch4_window7_224"
        net = timm.create_model(name, **options, **small, window_size=4)
    with torch.no_grad():  # as it is drawn (0.02), attention is uniform and nothing moves
        for name, weight in net.named_parameters():
            if weight.ndim == 2 and "pos_embed" not in name:
                weight.mul_(4)
    return net


def linear_model(channels: int, size: Size, outputs: int = 3, seed: int = 0) -> Classifier:
    """Return a model whose scores are sums of weights times pixels, with no bias."""
    net = nn.Sequential()
    net.add_module("flat", nn.Flatten())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net.add_module("fc", nn.Linear(channels * size[0] * size[1], outputs, bias=False))
    return Classifier(
        net,
        head="regression",
        classes=tuple("abcdefghijklmnopqrstuvwxyz"[:outputs]),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        cam_layer=None,
        linear_head="fc",
        pool=None,
        input_shape=(channels, *size),
        batch_size=16,
    ).eval()


def toy_batch(
    channels: int = 3,
    images: int = IMAGES,
    seed: int = 0,
    *,
    size: Size = (SIDE, SIDE),
    classes: int = 2,
    labels_each: bool = False,
) -> Batch:
    """Return seeded images with blocks of structure, segments and masks.

    Args:
        labels_each: whether labels are rows, one a class, as several labels or outputs have them.
    """
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(images, channels, 4, 4, generator=generator)
    fine = torch.rand(images, channels, *size, generator=generator)
    pixels = 0.7 * nn.functional.interpolate(coarse, size) + 0.3 * fine
    columns = -(-width // 8)
    cells = torch.arange(height)[:, None] // 8 * columns + torch.arange(width) // 8
    # Images have different numbers of segments, as superpixels have.
    segments = torch.stack([cells // (1 + i % 2) for i in range(images)]).contiguous()
    masks = torch.zeros(images, *size, dtype=torch.bool)
    masks[1:, 8:20, 8:20] = True  # the first image has no evidence
    # Of a draw of their own: the other images stay what they were, and none is its own reference.
    drawn = torch.Generator().manual_seed(seed + 1)
    references = torch.rand(4, channels, *size, generator=drawn)
    ids = tuple(f"image_{i}" for i in range(images))
    targets = torch.arange(images) % classes
    return Batch(
        images=pixels,
        labels=nn.functional.one_hot(targets, classes).float() if labels_each else targets,
        targets=targets,
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

    head: Head = "softmax"
    channels: int = 3
    classes: int = 2
    size: Size = (SIDE, SIDE)
    network: Network = "cnn"
    images: int = 3

    def model(self, seed: int = 0) -> Classifier:
        return toy_model(
            self.head,
            self.channels,
            seed,
            classes=self.classes,
            size=self.size,
            network=self.network,
        )

    def batch(self, seed: int = 0) -> Batch:
        return toy_batch(
            self.channels,
            self.images,
            seed,
            size=self.size,
            classes=self.classes,
            labels_each=self.head in ("multilabel", "regression"),
        )

    def maps(self, seed: int = 1) -> Tensor:
        """Return random maps, for what scores maps."""
        return torch.rand(self.images, *self.size, generator=torch.Generator().manual_seed(seed))

    def __str__(self) -> str:
        height, width = self.size
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{self.head}, {self.classes} classes, {channels}, {height}x{width}"


USUAL = Stage()
"""What every plugin must be able to take: all else differs from it in one thing."""

OTHERS: dict[str, tuple[Stage, ...]] = {
    "takes images that are not square": (Stage(size=(24, 40)), Stage(size=(40, 24))),
    "takes odd heights and widths": (Stage(size=(33, 47)),),
    "takes images of one channel": (Stage(channels=1),),
    "takes a single image": (Stage(images=1),),
    "explains any of 16 classes": (Stage(classes=16),),
    "explains a single logit": (Stage("single_logit"),),
    "explains any of several labels": (Stage("multilabel", classes=4),),
    "explains any output of a regression": (Stage("regression", classes=3),),
}
"""Promise -> what it is tried on, for explainers."""
