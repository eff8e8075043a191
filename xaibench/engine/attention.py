"""Attention of a model's tokens for each other, and maps of what its head reads of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine.batch import Maps, Pixels
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.networks.attention import Attention, attention_layers, reading_attention

Matrices = Float[Tensor, "batch token token"]
"""A number for each pair of tokens, an image: the row reads, the column is read."""


def check_attention(model: Classifier) -> None:
    """Raise UserError where a model has no single matrix of all tokens in each layer.

    Counts no pass.
    """
    if not attention_layers(model.net):
        raise UserError(
            "the model has no self-attention that can be read; it needs a transformer such as "
            "timm's ViT, whose attention goes through a module `attn_drop`"
        )
    before = model.passes.copy()
    with torch.no_grad(), model.as_found(), reading_attention(model.net) as read:
        model.eval()
        model(model.example())
    model.passes = before  # a check costs the run nothing
    tokens = _tokens(model)
    shapes = list(dict.fromkeys(tuple(each.shape) for each in read))
    if not shapes:
        raise UserError("the model's self-attention passes none of its matrices to `attn_drop`")
    if len(shapes) > 1 or shapes[0][0] != 1 or shapes[0][-2:] != (tokens, tokens):
        raise UserError(
            "the model's attention has no single matrix of all tokens: windows or stages of their "
            f"own give {', '.join(map(str, shapes[:3]))} (windows, heads, tokens, tokens) for one "
            f"image; it needs one of {tokens} x {tokens} in every layer, as a ViT has"
        )


def attention_of(
    model: Classifier, images: Pixels, keep: Callable[[Attention], Tensor]
) -> list[Tensor]:
    """Return what is kept of each layer's attention for images. Cost: one forward pass."""
    with torch.no_grad(), reading_attention(model.net, keep) as read:
        model(images)
    return read


def attention_and_gradient(
    model: Classifier, images: Pixels, targets: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Return each layer's attention with the gradient of the target's logit at it.

    Cost: one forward and one backward pass.
    """
    with torch.enable_grad(), reading_attention(model.net) as read:
        score = model.score(images.clone().requires_grad_(), targets, "logit").sum()
        gradients = torch.autograd.grad(score, read)
    return [(a.detach(), g) for a, g in zip(read, gradients, strict=True)]


def patches_read(model: Classifier, matrices: Matrices, size: tuple[int, int]) -> Maps:
    """Return the rows of the tokens that the head reads, at the patches, upsampled bilinearly.

    The mean over those rows: of the class token (and a distillation token), or of all patches
    where the head reads their mean.
    """
    tokens = model.tokens
    rows = slice(tokens.head_tokens) if tokens.head_tokens else slice(tokens.prefix_tokens, None)
    row = matrices[:, rows].mean(1)
    maps = model.feature_maps(row[:, :, None])
    return F.interpolate(maps, size, mode="bilinear")[:, 0]


def _tokens(model: Classifier) -> int:
    if not model.tokens.grids:
        raise UserError("the model does not say how its tokens lie in the image; see TokenGrid")
    rows, columns = model.tokens.grids[0]
    return rows * columns + model.tokens.prefix_tokens
