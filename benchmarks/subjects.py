"""The model and the images that ours and every peer are given."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.sizes import Size
from xaibench.config.sections import SegmentOptions
from xaibench.engine.backend_choice import Choice, choose_backend
from xaibench.engine.batch import Batch
from xaibench.engine.batches import automatic_batch_size
from xaibench.models.base import Classifier
from xaibench.models.timm import Timm
from xaibench.progress import SilentProgress
from xaibench.randomness import image_seed
from xaibench.segmentation.slic import Slic
from xaibench.types import BackendName

ROOT = Path(__file__).resolve().parents[1]
SEED = 20
_SETTLING = 32  # images with hidden parts that a model is fitted to
_BLOBS = ((7, 1.0),)


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with images.

    Attributes:
        half: the same model, whose passes are in bf16.
        maps: (B, H, W) relevance without ties, so that no order depends on who breaks them.
        source: where the images came from.
        choice: of the backend.
    """

    size: Size
    model: Classifier
    half: Classifier
    batch: Batch
    maps: Tensor
    source: str
    choice: Choice

    def fresh(self, images: int) -> Batch:
        """Return the first images as a batch that nothing has been scored of yet."""
        return replace(self.batch.take(range(images)))  # a part would know what the whole knows


def subject(
    size: Size,
    images: int,
    device: torch.device,
    backend: BackendName | Literal["auto"] = "eager",
) -> Subject:
    """Return the seeded subject of a size, the same on every machine but for rounding.

    Args:
        backend: of the model in fp32; in bf16 it is eager on a CPU.
    """
    pixels, source = real_images(size, images)
    if pixels is None:
        pixels, source = smooth_noise(size, images), "seeded smooth noise"
    model = _model(size, pixels).to(device=device, memory_format=torch.channels_last)
    model.batch_size = automatic_batch_size(model)
    half = copy.deepcopy(model)
    half.precision = "bf16"
    choice = choose_backend(model, backend, pixels.to(device))
    half.backend = "eager" if device.type == "cpu" else model.backend
    ids = tuple(f"image_{i}" for i in range(images))
    batch = as_batch(model, pixels, ids, pixels.mean(dim=(0, 2, 3)), size.segments)
    return Subject(
        size, model, half, batch, _distinct_maps(size, images).to(device), source, choice
    )


def as_batch(
    model: Classifier, images: Tensor, ids: tuple[str, ...], mean: Tensor, segments: int
) -> Batch:
    """Return images (B, C, H, W) on the CPU as a batch on the model's device.

    The predicted class is the target, and the label.

    Args:
        mean: of each channel over a data set.
        segments: superpixels asked of SLIC.
    """
    there = images.to(model.device)
    before = model.passes.copy()
    with torch.no_grad():
        targets = model.probabilities(model(there)).argmax(1)
    model.passes = before
    return Batch(
        images=there,
        labels=targets,
        targets=targets,
        ids=ids,
        groups=ids,
        masks={},
        segments=superpixels(images, segments).to(model.device),
        seeds=torch.tensor([image_seed(SEED, i) for i in ids], device=model.device),
        dataset_mean=mean.to(model.device),
        references=there[:16],
    )


def superpixels(images: Tensor, count: int) -> Tensor:
    """Return the SLIC labels (B, H, W) of images on the CPU, with the harness's defaults."""
    slic = Slic(**SegmentOptions(n_segments=count).model_dump())
    return torch.from_numpy(np.stack([slic(image, SEED) for image in images.numpy()]))


def data_root() -> Path:
    """Return the folder of real images, ``$XAIBENCH_DATA`` or ``../shared/data``; may be absent."""
    return Path(os.environ.get("XAIBENCH_DATA", ROOT.parent / "shared" / "data"))


def real_images(size: Size, count: int) -> tuple[Tensor | None, str]:
    """Return PatchCamelyon patches (B, C, H, W) in [0, 1], resized; None where there are none."""
    root = data_root() / "pcam_subset"
    if not root.is_dir():
        return None, ""
    from xaibench.datasets.pcam import Pcam  # needs h5py, which a bare GPU machine may lack

    with tempfile.TemporaryDirectory() as cache:
        data = Pcam(root).open(seed=SEED, cache=Path(cache), progress=SilentProgress())
        split = data.splits["test"]
        patches = split.images(np.arange(count) % len(split))
    images = torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 255
    images = F.interpolate(images, size.pixels, mode="bilinear", antialias=True).clamp(0, 1)
    images = images if size.channels == 3 else images.mean(1, keepdim=True)
    return images, "PatchCamelyon patches, resized"


def smooth_noise(
    size: Size, count: int, scales: Sequence[tuple[int, float]] = ((4, 0.5), (12, 0.3), (96, 0.2))
) -> Tensor:
    """Return seeded images (B, C, H, W) in [0, 1]; each scale is cells a side and its weight."""
    generator = torch.Generator().manual_seed(SEED)
    total = torch.zeros(count, size.channels, size.pixels, size.pixels)
    for cells, weight in scales:
        coarse = torch.rand(count, size.channels, cells, cells, generator=generator)
        total += weight * F.interpolate(coarse, size.pixels, mode="bilinear")
    return total.clamp(0, 1)


def _distinct_maps(size: Size, count: int) -> Tensor:
    """Return smooth maps whose values are the pixels' ranks over their number: all distinct."""
    values = smooth_noise(size, count, _BLOBS).mean(1).flatten(1)
    ranks = values.argsort(dim=1, stable=True).argsort(dim=1)
    return (ranks / size.pixels**2).view(count, size.pixels, size.pixels)


def _hidden_parts(size: Size, images: Tensor) -> Tensor:
    """Return images with blobs of 0 to 3/4 of their area black or at the mean: what models see."""
    rows = torch.arange(_SETTLING) % len(images)
    heights = smooth_noise(size, _SETTLING, _BLOBS)[:, :1].flatten(1)
    ranks = heights.argsort(dim=1).argsort(dim=1).view(_SETTLING, 1, size.pixels, size.pixels)
    share = torch.linspace(0, 0.75, _SETTLING)[torch.randperm(_SETTLING)].view(-1, 1, 1, 1)
    black = (torch.arange(_SETTLING) % 2 == 0).view(-1, 1, 1, 1)
    fill = torch.where(black, 0.0, images.mean(dim=(0, 2, 3)).view(1, -1, 1, 1))
    return torch.where(ranks < share * size.pixels**2, fill, images[rows])


def _model(size: Size, images: Tensor) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = Timm(size.architecture, weights="none", single_logit=size.single_logit).build(
            task=size.task,
            classes=size.classes,
            channels=size.channels,
            size=(size.pixels, size.pixels),
        )
        seen = _hidden_parts(size, images)
        _settle_norms(model, seen)
        _spread_scores(model, seen)
    model.requires_grad_(False)
    return model.eval()


@torch.no_grad()
def _settle_norms(model: Classifier, seen: Tensor) -> None:
    """Give batch norms the statistics and weights of a network that has learnt something.

    A fresh one has mean 0 and variance 1, and some have zeros for weights: folding it would change
    nothing, and residual branches would be dead.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.1)
        norm.momentum = None  # the plain mean over batches
    model.train()
    model(seen)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def _spread_scores(model: Classifier, seen: Tensor) -> None:
    """Scale the head so that logits have mean 0 and deviation 1.5 over images with hidden parts.

    Saturated scores, or scores that nothing moves, would agree whatever was computed.
    """
    logits = model(seen)
    scale = 1.5 / logits.std(0).clamp_min(1e-6)
    head = model.module(model.linear_head)
    head.bias.copy_((head.bias - logits.mean(0)) * scale)
    head.weight.mul_(scale[:, None])
    model.passes.forward = 0
