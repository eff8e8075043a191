"""Scores of images with some of their patches' tokens left out, in full batches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Pixels, Targets
from xaibench.engine.batches import in_batches
from xaibench.engine.network import ForwardNetwork
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.types import Space


def check_dropping(model: Classifier) -> None:
    """Raise UserError where a model cannot go on without one of its tokens. Counts no pass."""
    if model.tokens.drop_at is None or not model.tokens.grids:
        raise UserError(
            "the model has no tokens that can be left out; it needs a transformer that adds its "
            "positions to the tokens once, before all blocks, as timm's ViT and DeiT do"
        )
    rows, columns = model.tokens.grids[0]
    if rows * columns < 2:
        raise UserError("the model has one patch alone: without it nothing is left to look at")
    first = torch.zeros(1, rows * columns, dtype=torch.bool)
    first[0, 0] = True
    before = model.passes.copy()
    try:
        with model.as_found():
            model.eval()
            zero = torch.zeros(1, dtype=torch.int64, device=model.device)
            dropped_scores(model, model.example(), zero, first)
    except (RuntimeError, AssertionError, IndexError, ValueError) as error:
        raise UserError(
            f"the network cannot go on without a token: {str(error).splitlines()[0]}"
        ) from error
    finally:
        model.passes = before  # a check costs the run nothing


def dropped_scores(
    model: Classifier,
    images: Pixels,
    targets: Targets,
    dropped: Bool[Tensor, "mask patch"],
    space: Space = "prob",
) -> Float[Tensor, "batch mask"]:
    """Return the target's score of every image without each set of patches.

    The tokens are taken away behind the module that has added their positions
    (``TokenGrid.drop_at``); class and register tokens stay, and so do the others' positions. Pairs
    of image and set are packed into full batches of as many tokens.

    Args:
        dropped: the sets, the same for all images; patches row by row.

    Cost: one forward pass a pair.
    """
    scores = torch.empty(len(images), len(dropped), device=images.device)
    counts = dropped.sum(1)
    for count in counts.unique().tolist():
        sets = (counts == count).nonzero()[:, 0].to(images.device)
        kept = (~dropped[sets.to(dropped.device)]).nonzero()[:, 1].to(images.device)
        kept = kept.view(len(sets), dropped.shape[1] - count)
        _score(model, images, targets, (sets, kept), space, scores)
    return scores


def _score(
    model: Classifier,
    images: Pixels,
    targets: Targets,
    sets: tuple[Int[Tensor, " some"], Int[Tensor, "some left"]],
    space: Space,
    scores: Float[Tensor, "batch mask"],
) -> None:
    """Fill in the scores of the sets that leave equally many patches."""
    columns, kept = sets
    prefix = model.tokens.prefix_tokens
    first = torch.arange(prefix, device=images.device).expand(len(kept), -1)
    tokens = torch.cat([first, kept + prefix], dim=1)
    wanted = prefix + model.tokens.grids[0][0] * model.tokens.grids[0][1]
    now: list[Int[Tensor, " pair"]] = []

    def leave_out(_: object, __: object, output: Tensor) -> Tensor:
        if output.ndim != 3 or output.shape[1] != wanted:
            raise ValueError(f"{tuple(output.shape)} are not {wanted} tokens an image")
        chosen = tokens[now[-1]][:, :, None].expand(-1, -1, output.shape[2])
        return output.gather(1, chosen)

    def score(part: slice) -> None:
        pair = torch.arange(part.start, part.stop, device=images.device)
        image, mask = pair // len(kept), pair % len(kept)
        now[:] = [mask]
        given = network.normalised(images[image])
        scores[image, columns[mask]] = network.scores(given, targets[image], space)

    hook = model.module(model.tokens.drop_at).register_forward_hook(leave_out)
    try:
        network = ForwardNetwork(model)  # with a hook on it the model is used as it is
        with torch.inference_mode():
            in_batches(model, len(images) * len(kept), score)
    finally:
        hook.remove()
