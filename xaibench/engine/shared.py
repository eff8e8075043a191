"""Scores that every explainer and metric of a block shares: of the image and of the fill alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from xaibench.engine.batch import Batch, PerImage
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.masks import RankMasks
from xaibench.engine.scores import masked_scores
from xaibench.models.base import Classifier
from xaibench.types import Space


def unmasked_score(model: Classifier, batch: Batch, space: Space) -> PerImage:
    """Return the score of the images as they are; computed once a block, counted for nobody."""
    return _shared(model, batch, None, space)


def filled_score(model: Classifier, batch: Batch, fill: Fill, space: Space) -> PerImage:
    """Return the score of the fill alone; computed once a block, counted for nobody."""
    return _shared(model, batch, fill, space)


def _shared(model: Classifier, batch: Batch, fill: Fill | None, space: Space) -> PerImage:
    if batch.origin is not None:
        whole, at = batch.origin
        return _shared(model, whole, fill, space)[at]
    key = f"fill={fill},space={space},precision={model.precision}"
    known = batch.shared.setdefault(model, {})
    if key not in known:
        images = batch.images if fill is None else fill_images(batch, fill)
        nothing = RankMasks(
            torch.zeros_like(batch.segments),
            torch.zeros_like(batch.targets)[:, None],
            torch.ones_like(batch.targets),
        )
        with _uncounted(model):
            scores = masked_scores(model, images, images, batch.targets, nothing, space)
        known[key] = scores[:, 0]
    return known[key]


@contextmanager
def _uncounted(model: Classifier) -> Iterator[None]:
    # Whoever asks first would otherwise pay for all: costs must not depend on the order of cells.
    before = model.passes.copy()
    try:
        yield
    finally:
        model.passes.forward, model.passes.backward = before.forward, before.backward
