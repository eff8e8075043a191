"""Metrics of other packages, called as their documentation shows; each imported when called."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.sizes import Size
from benchmarks.subjects import Subject
from xaibench.engine import step_counts, trapezoid
from xaibench.engine.batch import Batch
from xaibench.models.base import Classifier


class _Probabilities(nn.Module):
    """The model as Quantus takes it: probabilities, a column a class."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.probabilities(self.model(images))


def quantus_pixel_flipping(subject: Subject, batch: Batch, maps: Tensor) -> Tensor:
    """Return the score after each step (B, step), black where values are flipped.

    Quantus ranks single channels; the maps given to it have a pixel's channels in a row.
    """
    import quantus

    size = subject.size
    # Exact: whole numbers below 2**24.
    ranks = (maps * size.pixels**2).round() * size.channels
    by_channel = ranks[:, None] + torch.arange(size.channels, device=maps.device).view(1, -1, 1, 1)
    metric = quantus.PixelFlipping(
        features_in_step=features_in_step(size),
        normalise=False,
        perturb_baseline=0.0,  # its "black" is the darkest value of the image
        disable_warnings=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says at each step what images are black already
        curves = metric(
            model=_Probabilities(subject.model).eval(),
            x_batch=batch.images.cpu().numpy(),
            y_batch=batch.targets.cpu().numpy(),
            a_batch=by_channel.cpu().numpy(),
            channel_first=True,
            softmax=False,
            device=str(subject.model.device),
        )
    return torch.from_numpy(np.asarray(curves))


def features_in_step(size: Size) -> int:
    """Return how many values (pixels x channels) pixel flipping replaces at each step."""
    return size.channels * size.pixels**2 // size.flip_steps


def pixel_flipping_gap(size: Size, ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference at the steps where whole pixels are gone in both.

    Args:
        ours: (B, step + 1), from the untouched image on, which Quantus leaves out.
    """
    flipped = torch.arange(1, theirs.shape[1] + 1) * features_in_step(size)
    counts = step_counts(size.flip_steps, size.pixels**2, torch.device("cpu"))
    whole = counts[1:] * size.channels == flipped
    return float((ours[:, 1:].cpu() - theirs)[:, whole].abs().max())


class _GivenMaps:
    """A CAM extractor, as torchcam's metrics take one, whose maps are known already."""

    def __init__(self, model: nn.Module, maps: Tensor) -> None:
        self.model, self._maps = model, maps

    def __call__(self, class_idx=None, scores=None, normalized=True, *, targets=None, **_) -> list:
        return [self._maps]

    def fuse_cams(self, cams: list[Tensor]) -> Tensor:
        return cams[0]

    def _hooks_off(self) -> nullcontext:
        return nullcontext()


def torchcam_deletion_insertion(subject: Subject, batch: Batch, maps: Tensor) -> Tensor:
    """Return the mean areas under deletion and insertion (2,), its default of 32 a call kept."""
    from torchcam.metrics import DeletionInsertionMetric

    metric = DeletionInsertionMetric(
        _GivenMaps(subject.model, maps),
        subject.model.probabilities,
        steps=subject.size.steps,
        baseline=torch.zeros(1, device=maps.device),
    )
    metric.update(batch.images, batch.targets.tolist())
    said = metric.summary()
    return torch.tensor([said["deletion_auc"], said["insertion_auc"]])


def mean_area_gap(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference of the mean areas under our curves (2, B, step) and theirs."""
    x = torch.linspace(0, 1, ours.shape[2], device=ours.device).expand(ours.shape[1:])
    areas = torch.stack([trapezoid(curves, x).mean() for curves in ours]).cpu()
    return float((areas - theirs).abs().max())
