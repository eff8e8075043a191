"""Scores of altered images: copies of any kind, made for the batch in hand only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xaibench.engine.batch import PerImage, Targets
from xaibench.engine.batches import in_batches
from xaibench.engine.network import forward_network
from xaibench.models.base import Classifier
from xaibench.types import Space

Alteration = Callable[[Int[Tensor, " pair"], Int[Tensor, " pair"]], Float[Tensor, "pair c h w"]]
"""Makes the copies number ``copy`` of the images number ``image``, in the unit of images."""

Reading = Callable[[Float[Tensor, "pair output"], Targets], PerImage]
"""Makes one number of the logits of a copy and its image's target."""


def altered_scores(
    model: Classifier,
    targets: Targets,
    copies: int,
    altered: Alteration,
    read: Space | Reading = "prob",
) -> Float[Tensor, "batch copy"]:
    """Return the target's score of every altered copy of every image.

    Where ``masked_scores`` has one fill an image, here each copy is what ``altered`` says: pixels
    imputed from those that are left, noise of its own. Pairs of image and copy are packed into full
    batches across both.

    Args:
        copies: of each image.
        altered: called as ``altered(image, copy)`` for the pairs of one batch.
        read: the space of the score, or what makes a number of logits and targets.

    Cost: one forward pass a copy. Out of memory halves ``model.batch_size`` and goes on.
    """
    scores = torch.full((len(targets), copies), torch.nan, device=targets.device)
    network = forward_network(model)

    def score(part: slice) -> None:
        pair = torch.arange(part.start, part.stop, device=targets.device)
        image, copy = pair // copies, pair % copies
        inputs = network.normalised(altered(image, copy).to(model.mean.dtype))
        if isinstance(read, str):
            scores[image, copy] = network.scores(inputs, targets[image], read)
        else:
            scores[image, copy] = read(network.logits(inputs), targets[image])

    with torch.inference_mode():
        in_batches(model, scores.numel(), score)
    return scores
