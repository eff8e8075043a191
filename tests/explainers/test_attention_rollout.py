"""Attention rollout against loops over layers, heads and tokens, and a closed form."""

from __future__ import annotations

import pytest
import torch
from vit_twin import images_of, literal_logits, literal_map, literal_tokens, small_vit

from xaibench.checks.stage import toy_model
from xaibench.errors import UserError
from xaibench.explainers.attention_rollout import AttentionRollout
from xaibench.models.base import PassCount
from xaibench.models.timm import Timm

FUSE = {"mean": lambda v: sum(v) / len(v), "min": min, "max": max}


def literal_rollout(layers, heads="mean", discard=0.0):
    """Abnar and Zuidema, equation 1, with the fusion and the discarding of the docstring."""
    tokens = layers[0].shape[-1]
    rollout = [[float(i == j) for j in range(tokens)] for i in range(tokens)]
    for layer in layers:
        fused = [
            [FUSE[heads]([float(head[i, j]) for head in layer]) for j in range(tokens)]
            for i in range(tokens)
        ]
        cells = sorted((fused[i][j], i, j) for i in range(tokens) for j in range(tokens))
        for _, i, j in cells[: int(discard * tokens * tokens)]:
            fused[i][j] = 0.0
        flow = []
        for i in range(tokens):
            row = [fused[i][j] + (i == j) for j in range(tokens)]
            flow.append([value / sum(row) for value in row])
        rollout = [
            [sum(flow[i][k] * rollout[k][j] for k in range(tokens)) for j in range(tokens)]
            for i in range(tokens)
        ]
    return torch.tensor(rollout)


@pytest.mark.parametrize("heads", ["mean", "min", "max"])
@pytest.mark.parametrize("discard", [0.0, 0.4])
@torch.no_grad()
def test_equals_the_literal_twin(heads, discard):
    model, batch = small_vit(), images_of()
    maps = AttentionRollout(heads, discard)(model, batch).maps
    for image, found in zip(batch.images, maps, strict=True):
        _, layers = literal_logits(model, literal_tokens(model, image))
        rollout = literal_rollout(layers, heads, discard)
        torch.testing.assert_close(found, literal_map(rollout[0, 1:]), rtol=1e-4, atol=1e-6)
    assert maps.std() > 1e-3


def test_of_uniform_attention_it_is_what_the_layers_leave():
    """A = 1/N in all L layers: the row of a token is (1 - 0.5^L) / N at every other one."""
    model, batch = small_vit(), images_of()
    with torch.no_grad():
        for block in model.net.blocks:
            block.attn.qkv.weight.zero_()
            block.attn.qkv.bias.zero_()
    maps = AttentionRollout()(model, batch).maps
    assert maps == pytest.approx(torch.full_like(maps, (1 - 0.5**6) / 7), abs=1e-6)


@torch.no_grad()
def test_a_model_that_reads_its_patches_has_the_mean_of_their_rows():
    model, batch = small_vit("test_vit2"), images_of()
    assert model.tokens.head_tokens == 0
    layers = []
    for block in model.net.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda *call: layers.append(call[2]))
    model(batch.images[:1])
    rollout = literal_rollout([layer[0] for layer in layers])
    for block in model.net.blocks:
        block.attn.attn_drop._forward_hooks.clear()
    maps = AttentionRollout()(model, batch).maps
    row = sum(rollout[i, 1:] for i in range(1, 7)) / 6
    torch.testing.assert_close(maps[0], literal_map(row), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_distilled_model_reads_two_tokens():
    model, batch = small_vit("deit_tiny_distilled_patch16_224"), images_of()
    assert (model.tokens.prefix_tokens, model.tokens.head_tokens) == (2, 2)
    maps = AttentionRollout()(model, batch).maps
    layers = []
    for block in model.net.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda *call: layers.append(call[2][0]))
    model(batch.images[:1])
    rollout = literal_rollout(layers)
    row = (rollout[0, 2:] + rollout[1, 2:]) / 2
    torch.testing.assert_close(maps[0], literal_map(row), rtol=1e-4, atol=1e-6)


def test_it_is_the_same_for_every_class_and_says_so():
    model, batch = small_vit(), images_of()
    first = AttentionRollout()(model, batch).maps
    batch.targets.fill_(2)
    assert torch.equal(AttentionRollout()(model, batch).maps, first)
    assert "explains each class differently" in AttentionRollout.expected
    assert "same for every target" in " ".join(AttentionRollout.__doc__.split())


def test_costs_one_pass_as_declared():
    model, batch = small_vit(), images_of()
    AttentionRollout().check(model)
    assert model.passes == PassCount(0, 0)
    passes = AttentionRollout()(model, batch).passes
    assert passes == AttentionRollout().cost(model, batch) == PassCount(3, 0)


def test_whole_batch_equals_one_by_one_and_the_model_is_as_found():
    model, batch = small_vit(), images_of()
    whole = AttentionRollout()(model, batch).maps
    single = torch.cat([AttentionRollout()(model, batch.take([i])).maps for i in range(3)])
    torch.testing.assert_close(whole, single, rtol=1e-5, atol=1e-7)
    assert all(block.attn.fused_attn for block in model.net.blocks)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (toy_model, "no self-attention that can be read; it needs a transformer"),
        (
            lambda: Timm("swin_tiny_patch4_window7_224", weights="none").build(
                task="binary", classes=("a", "b"), channels=3, size=(64, 96)
            ),
            r"no single matrix of all tokens: windows.*needs one of 384 x 384 in every layer",
        ),
    ],
    ids=["cnn", "swin"],
)
def test_models_without_such_attention_are_told_why(model, why):
    with pytest.raises(UserError, match=why):
        AttentionRollout().check(model())
