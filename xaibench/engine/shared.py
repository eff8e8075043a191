"""Scores that every explainer and metric of a block shares: of the image and of the fill alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Shaped
from torch import Tensor

from xaibench.engine.batch import Batch, PerImage
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.known import KnownScores
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


def shared_scores(
    model: Classifier, batch: Batch, key: str, scores_of: Callable[[Batch], Tensor]
) -> Shaped[Tensor, "batch *score"]:
    """Return scores that no map has a part in; computed once a block, counted for nobody.

    Args:
        key: what the scores are, with all that they depend on beside model, images and targets.
        scores_of: computes them, for the whole block.
    """
    whole, at = batch.whole()
    key = f"{key},precision={model.precision}"
    known = KnownScores.of(model, whole).once
    if key not in known:
        with _uncounted(model):
            known[key] = scores_of(whole)
    return known[key][at]


def _shared(model: Classifier, batch: Batch, fill: Fill | None, space: Space) -> PerImage:
    def scores_of(whole: Batch) -> PerImage:
        images = whole.images if fill is None else fill_images(whole, fill)
        nothing = RankMasks(
            torch.zeros_like(whole.segments),
            torch.zeros_like(whole.targets)[:, None],
            torch.ones_like(whole.targets),
        )
        return masked_scores(model, images, images, whole.targets, nothing, space)[:, 0]

    return shared_scores(model, batch, f"fill={fill},space={space}", scores_of)


@contextmanager
def _uncounted(model: Classifier) -> Iterator[None]:
    # Whoever asks first would otherwise pay for all: costs must not depend on the order of cells.
    before = model.passes.copy()
    try:
        yield
    finally:
        passes = model.passes
        passes.block += passes.forward - before.forward
        passes.forward, passes.backward = before.forward, before.backward
