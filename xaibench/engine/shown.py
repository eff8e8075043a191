"""Images shown through their own maps: what is relevant stays, the rest fades to the fill."""

from __future__ import annotations

import torch

from xaibench.engine.batch import Batch, Maps, PerImage
from xaibench.engine.batches import in_batches
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.network import forward_network
from xaibench.models.base import Classifier
from xaibench.types import Space


def shown_score(
    model: Classifier, batch: Batch, weights: Maps, fill: Fill, space: Space = "prob"
) -> PerImage:
    """Return the score of ``weight * image + (1 - weight) * fill``, pixel by pixel.

    Args:
        weights: in [0, 1], one a pixel, for all channels together.

    Cost: one forward pass an image. Out of memory halves ``model.batch_size`` and goes on.
    """
    network = forward_network(model)
    fills = fill_images(batch, fill)
    scores = torch.empty(len(batch), device=batch.images.device)

    def score(part: slice) -> None:
        # Normalisation is affine: a mixture of normalised images is that of the images.
        clear, hidden = network.normalised(batch.images[part]), network.normalised(fills[part])
        mixed = torch.lerp(hidden, clear, weights[part, None].to(clear.dtype))
        scores[part] = network.scores(mixed, batch.targets[part], space)

    with torch.inference_mode():
        in_batches(model, len(batch), score)
    return scores


def positive_part(maps: Maps) -> Maps:
    """Return the positive relevance over its largest value, in [0, 1]; NaN where there is none."""
    positive = maps.clamp_min(0)
    return positive / positive.flatten(1).amax(1)[:, None, None]
