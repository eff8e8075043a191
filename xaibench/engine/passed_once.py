"""Masked scores of a block, of which each masked image is passed through the model once."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Batch, Pixels
from xaibench.engine.digests import image_numbers, pixel_numbers
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.known import MOST, KnownScores, Table
from xaibench.engine.masks import Masks
from xaibench.engine.network import forward_network
from xaibench.engine.scores import masked_scores, pair_scores
from xaibench.models.base import Classifier
from xaibench.types import Space

_NO_KEY = 2**63 - 1
_PADDING, _KNOWN, _NEW = 0, 1, 2


def block_scores(
    model: Classifier,
    batch: Batch,
    masks: Masks,
    fill: Fill | str,
    space: Space = "prob",
    *,
    fills: Pixels | None = None,
) -> Float[Tensor, "batch mask"]:
    """Return the target's score of every masked copy of every image, as ``masked_scores``.

    Where the batch ``shares``, a masked image whose score the block knows is not passed again,
    whichever explainer or metric asked for it, by whatever form of masks and in whichever space.
    Equal ones are found by their digests on the device, which a call is waited for once.

    Args:
        fill: what stands behind each image.
        fills: the same as images, where it is none that ``fill_images`` knows: ``fill`` is its name
            then, which must tell it from every other in the block.

    Cost: counted as one forward pass a mask, whoever asks first; ``model.passes.shared`` says how
    many of them were not made.
    """
    fills = fill_images(batch, fill) if fills is None else fills
    whole, at = batch.whole()
    if not whole.shares:
        return masked_scores(model, batch.images, fills, batch.targets, masks, space)
    network = forward_network(model)
    spaces, tables = network.spaces(space), KnownScores.of(model, whole).tables_of(network)
    said = ",".join([*spaces, model.precision, model.backend])
    name = f"fill={fill},passes={said}"
    table = tables.get(name) or Table.empty(len(spaces), batch.images.device)
    keys, real = _keys(masks, whole, at)
    plan = _plan(keys, real, table).cpu()
    asked = (plan != _PADDING).sum(1)
    if not asked.any():
        return fills.new_empty(len(batch), 0)
    image, mask = pairs = _passed(plan)
    new = pair_scores(model, batch.images, fills, batch.targets, masks, pairs, spaces)
    table = table.joined(keys[image.to(keys.device), mask.to(keys.device)], new)
    if len(table.keys) <= MOST:
        tables[name] = table
    shared = int(asked.sum()) - len(image)
    model.passes.forward += shared
    model.passes.shared += shared
    scores = table.scores_of(keys)[..., spaces.index(space)].where(real, torch.nan)
    return scores[:, : int(asked.max())]


def _keys(
    masks: Masks, whole: Batch, at: Int[Tensor, " batch"]
) -> tuple[Int[Tensor, "batch mask"], Bool[Tensor, "batch mask"]]:
    """Return the digest of each image with each mask, and which of them are no padding."""
    device = whole.images.device
    numbers = pixel_numbers(tuple(whole.images.shape[2:]), device)
    keys = masks.digests(numbers) + image_numbers(len(whole), device)[at][:, None]
    real = torch.arange(keys.shape[1], device=device) < masks.counts[:, None]
    return keys.where(real, _NO_KEY), real


def _plan(
    keys: Int[Tensor, "batch mask"], real: Bool[Tensor, "batch mask"], table: Table
) -> Int[Tensor, "batch mask"]:
    """Return of each masked image whether it is padding, is known, or is the first of its kind."""
    ordered, order = keys.flatten().sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    first = torch.empty_like(first).scatter_(0, order, first).view(keys.shape)
    return real.to(torch.int8) + (real & first & ~table.has(keys))


def _passed(
    plan: Int[Tensor, "batch mask"],
) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Return which pairs of image and mask are passed.

    One that is known goes beside a single one that is not: alone it would go through other kernels,
    and its last bit would depend on what was known before.
    """
    new = plan == _NEW
    if int(new.sum()) == 1:
        known = (plan == _KNOWN).nonzero()[:1]
        new[known[:, 0], known[:, 1]] = True
    return new.nonzero(as_tuple=True)
