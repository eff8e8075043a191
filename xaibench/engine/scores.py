"""Masked scores: pairs of image and mask, packed across both into full batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Pixels, Targets
from xaibench.engine.batches import in_batches
from xaibench.engine.masks import Masks, SoftMasks, pairs_of
from xaibench.engine.network import forward_network
from xaibench.engine.pixels import gathered, pixels_of
from xaibench.models.base import Classifier
from xaibench.types import Space


def masked_scores(
    model: Classifier,
    images: Pixels,
    fills: Pixels,
    targets: Targets,
    masks: Masks,
    space: Space = "prob",
) -> Float[Tensor, "batch mask"]:
    """Return the target's score of every masked copy of every image.

    Args:
        fills: what stands behind each image; see ``fill_images``.
        masks: ``masks.counts[i]`` of them for image i.

    Returns:
        One row an image; NaN behind an image's own number of masks.

    Cost: one forward pass a mask. Out of memory halves ``model.batch_size`` and goes on.
    """
    return packed_scores(model, images, fills, targets, masks, space, _composed)


def packed_scores(
    model: Classifier,
    images: Pixels,
    fills: Pixels,
    targets: Targets,
    masks: Masks | SoftMasks,
    space: Space,
    compose: Callable[..., Tensor],
) -> Float[Tensor, "batch mask"]:
    """Return what ``masked_scores`` does, of masks of any kind.

    Args:
        compose: makes masked copies of normalised images, of normalised fills, of the number of
            each copy's image among them and of the expanded masks.
    """
    # The plan is made on the CPU, so that packing never waits for the device.
    counts = masks.counts.cpu()
    image, mask = pairs_of(counts)
    scores = torch.full((len(images), int(counts.max())), torch.nan, device=images.device)
    found = pair_scores(model, images, fills, targets, masks, (image, mask), (space,), compose)
    scores[image.to(images.device), mask.to(images.device)] = found[:, 0]
    return scores


def pair_scores(
    model: Classifier,
    images: Pixels,
    fills: Pixels,
    targets: Targets,
    masks: Masks | SoftMasks,
    pairs: tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]],
    spaces: Sequence[Space],
    compose: Callable[..., Tensor] | None = None,
) -> Float[Tensor, "pair space"]:
    """Return the scores of some pairs of image and mask in each space, of one pass a pair.

    Args:
        pairs: the numbers of image and mask, on the CPU, in the order of images.
        spaces: of one space, or of ``ForwardNetwork.spaces``.
        compose: see ``packed_scores``; that of ``masked_scores`` if None.
    """
    image, compose = pairs[0], compose or _composed
    image_there, mask_there = (numbers.to(images.device) for numbers in pairs)
    scores = torch.empty(len(image), len(spaces), device=images.device)
    network = forward_network(model)

    def score(part: slice) -> None:
        i, m = image_there[part], mask_there[part]
        # Pairs are sorted by image: only the few images of this batch are normalised for it.
        first, last = int(image[part.start]), int(image[part.stop - 1])
        clear = network.normalised(images[first : last + 1])
        hidden = network.normalised(fills[first : last + 1])
        mixed = compose(clear, hidden, i - first, masks.expand(i, m))
        scores[part] = network.scores_in(mixed, targets[i], spaces)

    with torch.inference_mode():
        in_batches(model, len(image), score)
    return scores


def _composed(
    clear: Float[Tensor, "image channel height width"],
    hidden: Float[Tensor, "image channel height width"],
    image: Int[Tensor, " pair"],
    mask: Bool[Tensor, "pair height width"],
) -> Float[Tensor, "pair channel height width"]:
    """Return ``where(mask, hidden[image], clear[image])`` in channels_last.

    One gather of whole pixels from a table of both: a ``where`` broadcast over the channels
    reads and writes three times as much, and takes twice as long.
    """
    table = torch.stack([clear, hidden], dim=1).permute(0, 1, 3, 4, 2)
    pixels = torch.arange(mask[0].numel(), device=mask.device, dtype=torch.int32)
    side = (2 * image.int())[:, None] + mask.flatten(1)
    at = side * mask[0].numel() + pixels
    return gathered(pixels_of(table), at.view(mask.shape))
