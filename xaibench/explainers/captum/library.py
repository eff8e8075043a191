"""How captum is asked for attributions of a gradient that others of the block ask for, too."""

from __future__ import annotations

from collections.abc import Callable

from xaibench.engine import Batch, Pixels, block_image_gradients
from xaibench.models.base import Classifier
from xaibench.types import Space


def shared_gradient(
    model: Classifier, batch: Batch, space: Space
) -> Callable[..., tuple[Pixels, ...]]:
    """Return what captum calls for the gradient at the images: one for the whole block."""
    return lambda *_, **__: (block_image_gradients(model, batch, space),)
