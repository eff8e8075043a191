"""A small training that takes a moment: data, model, and progress that can break it off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from xaibench.models.base import Classifier
from xaibench.progress import SilentProgress
from xaibench.training.loop import Trained, fit
from xaibench.training.options import TrainingOptions
from xaibench.types import Data, Split

# 26 images in batches of 4: seven steps an epoch, the last of two images.
OPTIONS = TrainingOptions(epochs=3, batch_size=4, learning_rate=0.01, save_every=3, patience=9)
STEPS = 7


class ArraySplit(Split):
    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images, self.labels = images, labels
        self.ids = self.groups = np.array([f"i{i}" for i in range(len(images))])

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self._images[indices]


class Stop(SilentProgress):
    """Counts the steps, and raises ``error`` behind the step ``at`` of a training."""

    def __init__(self, at: int | None = None, error: type[BaseException] = RuntimeError) -> None:
        self.at, self.error = at, error
        self.steps = 0
        self.stages: list[tuple[str, int, int]] = []
        self.said: list[str] = []

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        self.stages.append((title, total, done))
        yield lambda units: self._advance(units) if title == "Training" else None

    def _advance(self, units: int) -> None:
        self.steps += units
        if self.steps == self.at:
            raise self.error

    def say(self, line: str) -> None:
        self.said.append(line)


def toy_split(count: int, seed: int) -> ArraySplit:
    """Images whose upper half is brighter in class 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 128, (count, 16, 16, 3), dtype=np.uint8)
    images[:, :8] += (60 * labels).astype(np.uint8)[:, None, None, None]
    return ArraySplit(images, labels)


def toy_data(train: int = 26, **changes: object) -> Data:
    splits = {"train": toy_split(train, 0), "valid": toy_split(16, 1)}
    data = Data("toy", "binary", ("no", "yes"), 3, (16, 16), splits, checksum="c")
    return replace(data, **changes)


def toy_model(
    outputs: int = 2, head: str = "softmax", linear_head: str | None = "head"
) -> Classifier:
    torch.manual_seed(3)
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(3, 6, 3, stride=2))
    net.add_module("norm", nn.BatchNorm2d(6))
    net.add_module("act", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(2))
    net.add_module("flat", nn.Flatten())
    net.add_module("drop", nn.Dropout(0.3))
    net.add_module("head", nn.Linear(24, outputs))
    classes = ("no", "yes") if head in ("softmax", "single_logit") else ("a", "b")[:outputs]
    return Classifier(
        net, head=head, classes=classes, mean=(0.5,) * 3, std=(0.25,) * 3, cam_layer=None,
        linear_head=linear_head, pool=None, input_shape=(3, 16, 16),
        stages=(("conv",), ("norm",)),
    )  # fmt: skip


def fit_toy(
    cache: Path,
    model: Classifier | None = None,
    data: Data | None = None,
    options: TrainingOptions = OPTIONS,
    seed: int = 0,
    recipe: dict | None = None,
    progress: SilentProgress | None = None,
) -> tuple[dict[str, torch.Tensor], Trained]:
    model = model or toy_model()
    trained = fit(
        model, data or toy_data(), options, recipe=recipe or {"model": "toy"}, seed=seed,
        cache=cache, progress=progress or SilentProgress(),
    )  # fmt: skip
    assert not model.training
    return {k: v.clone() for k, v in model.net.state_dict().items()}, trained


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def same_log(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        a.drop(columns="seconds"), b.drop(columns="seconds"), check_exact=True
    )
