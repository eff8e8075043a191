"""What a training learns from and is measured on: images and labels of two splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.randomness import image_seed
from xaibench.training.copies import Copies
from xaibench.training.evaluate import as_labels, in_memory
from xaibench.training.options import TrainingOptions
from xaibench.types import Data, Split

_IN_MEMORY = 1_500_000_000  # bytes of a split that is kept


@dataclass(frozen=True, eq=False)
class Material:
    """Images and labels.

    Attributes:
        train: the training images, with their copies.
        train_labels: of these, permuted where ``shuffle_labels`` asks for it: before they are
            copied, so that the copies of an image share its label.
        valid: the validation images.
        valid_labels: of these, permuted likewise.
    """

    train: Split
    train_labels: Tensor
    valid: Split
    valid_labels: Tensor

    @classmethod
    def of(cls, data: Data, options: TrainingOptions, seed: int, progress: Progress) -> Material:
        """Return a data set's material, in memory where it fits."""
        train = _images_of(data, "train", progress)
        valid = _images_of(data, "valid", progress)
        copies = Copies(train, options.copies)
        labels = _labels(train, "train", options, seed)
        return cls(
            train=copies,
            train_labels=torch.cat([labels] * copies.times),
            valid=valid,
            valid_labels=_labels(valid, "valid", options, seed),
        )


def _labels(split: Split, name: str, options: TrainingOptions, seed: int) -> Tensor:
    labels = as_labels(split.labels)
    if options.shuffle_labels:
        generator = np.random.default_rng(image_seed(seed, f"labels/{name}"))
        labels = labels[torch.from_numpy(generator.permutation(len(labels)))]
    return labels


def _images_of(data: Data, name: str, progress: Progress) -> Split:
    split = data.splits.get(name)
    if split is None or len(split) == 0:
        raise UserError(f"training: data set {data.name!r} has no images in its split {name!r}")
    return in_memory(split, _IN_MEMORY, progress, f"Reading {name} images")
