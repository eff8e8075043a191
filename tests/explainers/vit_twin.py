"""A ViT of timm's, small and sharp enough, and its forward pass written out token by token."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch
from xaibench.models.timm import Timm

SIZE = (32, 48)  # two rows of three patches


def small_vit(architecture="test_vit", *, task="multiclass", classes=3, channels=3, size=SIZE, **o):
    """Weights are scaled up: as they are drawn, attention is uniform and nothing moves."""
    torch.manual_seed(0)
    names = tuple(f"class {i}" for i in range(classes))
    plugin = Timm(architecture, weights="none", **o)
    model = plugin.build(task=task, classes=names, channels=channels, size=size).eval()
    with torch.no_grad():
        for name, weight in model.net.named_parameters():
            if weight.ndim == 2:
                weight.mul_(5)
            if name in ("cls_token", "pos_embed", "reg_token"):
                weight.normal_(std=0.5)
    return model


def images_of(size=SIZE, channels=3, count=3):
    batch = toy_batch(channels, images=count)
    images = F.interpolate(batch.images, size)
    return replace(batch, images=images, masks={}, segments=torch.zeros(count, *size).long())


def literal_tokens(model, image: Tensor) -> Tensor:
    """The class (or register) token and the patches, with their positions: (N, C)."""
    net = model.net
    x = (image - model.mean[0]) / model.std[0]
    weight, bias = net.patch_embed.proj.weight, net.patch_embed.proj.bias
    side = weight.shape[2]
    tokens = [(net.reg_token if net.cls_token is None else net.cls_token)[0, 0]]
    for top in range(0, x.shape[1], side):
        for left in range(0, x.shape[2], side):
            patch = x[:, top : top + side, left : left + side]
            tokens.append((weight * patch).sum((1, 2, 3)) + bias)
    return torch.stack([t + p for t, p in zip(tokens, net.pos_embed[0], strict=True)])


def literal_logits(model, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Dosovitskiy et al. 2021, equations 2 to 4: the class token's logits, and each A (h, N, N)."""
    net, seen = model.net, []
    for block in net.blocks:
        attention, x = block.attn, block.norm1(tokens)
        q, k, v = attention.qkv(x).chunk(3, dim=1)
        width = attention.head_dim
        heads = []
        for h in range(attention.num_heads):
            own = slice(h * width, (h + 1) * width)
            heads.append(((q[:, own] @ k[:, own].T) / width**0.5).softmax(dim=1))
        matrices = torch.stack(heads)
        seen.append(matrices)
        mixed = [
            matrices[h] @ v[:, h * width : (h + 1) * width] for h in range(attention.num_heads)
        ]
        tokens = tokens + block.ls1(attention.proj(torch.cat(mixed, dim=1)))
        tokens = tokens + block.ls2(block.mlp(block.norm2(tokens)))
    return net.head(net.norm(tokens)[0]), seen


def literal_map(row: Tensor, size=SIZE, grid=(2, 3)) -> Tensor:
    """Patches row by row, upsampled bilinearly."""
    small = torch.zeros(grid)
    for i in range(grid[0]):
        for j in range(grid[1]):
            small[i, j] = row[i * grid[1] + j]
    return F.interpolate(small[None, None], size, mode="bilinear")[0, 0]
