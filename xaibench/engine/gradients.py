"""Gradients of many copies of each image, packed across images and copies into full batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xaibench.engine.batch import Maps, Pixels, Targets
from xaibench.engine.batches import in_batches
from xaibench.engine.gradient_model import gradient_model
from xaibench.engine.network import forward_network
from xaibench.models.base import Classifier
from xaibench.types import Space

Pairs = Int[Tensor, " pair"]
PairImages = Float[Tensor, "pair channel height width"]
Channels = Literal["mean_abs", "sum"]
"""What makes one number of a pixel's channels: the mean of their absolute values, or their sum."""


def target_gradients(model: Classifier, images: Pixels, targets: Targets, space: Space) -> Pixels:
    """Return the gradient of each image's target score at the image, all in one pass.

    Leaves ``requires_grad`` of the weights as it was. Cost: a forward and a backward pass an image.
    """
    model = gradient_model(model)
    wanted = [(p, p.requires_grad) for p in model.parameters()]
    model.requires_grad_(False)  # the gradient is wanted at the image, not at the weights
    try:
        with torch.enable_grad():
            at = images.detach().clone().requires_grad_()
            return torch.autograd.grad(model.score(at, targets, space).sum(), at)[0]
    finally:
        for parameter, wants in wanted:
            parameter.requires_grad_(wants)


def gradient_sums(
    model: Classifier,
    targets: Targets,
    copies: int,
    copy_of: Callable[[Pairs, Pairs], PairImages],
    terms: Callable[[PairImages, Pairs, Pairs], Float[Tensor, "pair *term"]],
    space: Space,
) -> Float[Tensor, "batch *term"]:
    """Return what ``terms`` makes of the gradients of an image's copies, summed over them.

    Args:
        copies: of each image.
        copy_of: returns copies of images, given the numbers of both.
        terms: returns what is added up, given gradients at copies and the numbers of both.

    Returns:
        float64, a row an image. Memory depends on the batch size, not on ``copies``.

    Cost: a forward and a backward pass a copy.
    """
    sums: list[Tensor] = []

    def add(part: slice) -> None:
        pair = torch.arange(part.start, part.stop, device=targets.device)
        image, copy = pair // copies, pair % copies
        gradients = target_gradients(model, copy_of(image, copy), targets[image], space)
        added = terms(gradients, image, copy).double()
        if not sums:
            sums.append(added.new_zeros(len(targets), *added.shape[1:]))
        # Pairs are sorted by image. A product adds them up in one order on any device, which
        # adding by index does not.
        first, last = part.start // copies, (part.stop - 1) // copies + 1
        own = torch.arange(first, last, device=targets.device)[:, None] == image
        sums[0][first:last] += (own.double() @ added.flatten(1)).view(-1, *added.shape[1:])

    in_batches(model, len(targets) * copies, add)
    return sums[0]


def scores_between(
    model: Classifier,
    begin: Pixels,
    images: Pixels,
    targets: Targets,
    along: Float[Tensor, " point"],
    space: Space,
) -> Float[Tensor, "batch point"]:
    """Return the targets' scores at points of the straight way from ``begin`` to the images.

    Args:
        along: the points, each a share of the way in [0, 1].

    Cost: one forward pass a point.
    """
    points, network = len(along), forward_network(model)
    scores = images.new_empty(len(images) * points)

    def score(part: slice) -> None:
        pair = torch.arange(part.start, part.stop, device=images.device)
        image, point = pair // points, pair % points
        there = along[point, None, None, None].to(images.dtype)
        mixed = network.normalised(torch.lerp(begin[image], images[image], there))
        scores[part] = network.scores(mixed, targets[image], space)

    with torch.inference_mode():
        in_batches(model, len(scores), score)
    return scores.view(len(images), points)


def over_channels(relevance: Pixels, channels: Channels) -> Maps:
    """Return one number a pixel, float32."""
    joined = relevance.abs().mean(1) if channels == "mean_abs" else relevance.sum(1)
    return joined.float()
