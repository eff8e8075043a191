"""What shap's explainers share: the package, its randomness, the game of an image's segments."""

from __future__ import annotations

import importlib
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    Pixels,
    SegmentMasks,
    block_scores,
    fill_images,
    segment_areas,
    segment_means,
)
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
from xaibench.types import Space

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of how it makes colours, which nobody here draws with
    package = importlib.import_module("shap")

Game = Callable[[np.ndarray], np.ndarray]
"""Scores (n,) of copies of an image, given which segments each keeps, (n, K) of 0 and 1."""


class ShapExplainer(Explainer):
    """An explainer that asks the shap package for one image after the other."""

    @abstractmethod
    def explain(self, model: Classifier, one: Batch) -> Float[Tensor, "height width"]:
        """Return the map of a batch of one image; numpy's generator is seeded by the image."""

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        maps = []
        for i, seed in enumerate(batch.seeds.tolist()):
            with numpy_seeded(seed):
                maps.append(self.explain(model, batch.take([i])))
        return torch.stack(maps).to(batch.images.device).float()


@contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, which shap draws from; give it back as it was."""
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)


class TargetScore(nn.Module):
    """One image's target score as a module of one output, (n, 1)."""

    def __init__(self, model: Classifier, one: Batch, space: Space) -> None:
        super().__init__()
        # Not a child: shap sets the mode and clears the gradients of what it is given.
        self._score = lambda images: model.score(images, one.targets.expand(len(images)), space)

    def forward(self, images: Tensor) -> Float[Tensor, "n 1"]:
        return self._score(images)[:, None]


def segment_game(model: Classifier, one: Batch, fill: Fill, space: Space) -> Game:
    """Return the scores of one image with some segments behind ``fill``, in full batches."""

    def scores(kept: Bool[np.ndarray, "n segment"] | Float[np.ndarray, "n segment"]) -> np.ndarray:
        replaced = torch.from_numpy(np.asarray(kept) < 0.5).to(one.images.device)
        masks = SegmentMasks(one.segments, replaced[None], one.targets.new_tensor([len(kept)]))
        found = block_scores(model, one, masks, fill, space)
        return found[0].double().cpu().numpy()

    return scores


def segment_shares(weights: Pixels, batch: Batch, fill: Fill) -> Maps:
    """Return what each segment adds to a linear score, at each of its pixels."""
    change = ((batch.images - fill_images(batch, fill)) * weights).sum(1)
    sums = (segment_means(change, batch.segments) * segment_areas(batch.segments)).nan_to_num()
    return sums.gather(1, batch.segments.flatten(1)).view_as(change).float()


def segment_count(one: Batch) -> int:
    return int(one.segments.max()) + 1


def by_segment(one: Batch, values: np.ndarray) -> Float[Tensor, "height width"]:
    """Return each segment's value at its pixels."""
    known = torch.from_numpy(np.asarray(values, np.float64).ravel()).to(one.segments.device)
    return known[one.segments[0].long()]
