"""Attention matrices: read as they are, and the network left as found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xaibench.models.timm import Timm
from xaibench.networks.attention import attention_layers, reading_attention


def net_of(architecture, size=(32, 48)):
    torch.manual_seed(0)
    model = Timm(architecture, weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=size
    )
    return model.net.eval()


@pytest.mark.parametrize(
    ("architecture", "layers", "heads", "tokens"),
    [
        ("test_vit", 6, 2, 7),
        ("test_vit3", 9, 3, 7),  # pools by attention: not among them
        ("deit_tiny_distilled_patch16_224", 12, 3, 8),
        ("eva02_tiny_patch14_224", 12, 3, 7),
        pytest.param("beit_base_patch16_224", 12, 12, 7, marks=pytest.mark.slow),
        pytest.param("vit_small_patch16_dinov3", 12, 6, 11, marks=pytest.mark.slow),
    ],
)
def test_every_layer_is_read_and_the_outputs_are_the_same(architecture, layers, heads, tokens):
    size = (28, 42) if "patch14" in architecture else (32, 48)
    net, images = net_of(architecture, size), torch.rand(2, 3, *size)
    with torch.no_grad():
        plain = net(images)
        with reading_attention(net) as read:
            outputs = net(images)
    assert [tuple(each.shape) for each in read] == [(2, heads, tokens, tokens)] * layers
    for each in read:
        torch.testing.assert_close(each.sum(-1), torch.ones(2, heads, tokens))
    torch.testing.assert_close(outputs, plain, rtol=1e-4, atol=1e-5)


def test_what_is_read_makes_what_the_layer_gives():
    """EVA turns queries and keys by their positions: its matrix times its values is its output."""
    net, images = net_of("eva02_tiny_patch14_224", (28, 42)), torch.rand(1, 3, 28, 42)
    attention, seen = net.blocks[3].attn, {}
    attention.register_forward_hook(lambda _, given, output: seen.update(x=given[0], out=output))
    with torch.no_grad(), reading_attention(net) as read:
        net(images)
        x = seen["x"]
        value = attention.v_proj(x) if attention.qkv is None else None
        if value is None:
            bias = torch.cat([attention.q_bias, attention.k_bias, attention.v_bias])
            value = nn.functional.linear(x, attention.qkv.weight, bias).chunk(3, dim=-1)[2]
        value = value.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        mixed = (read[3] @ value).transpose(1, 2).flatten(2)
        expected = attention.proj(attention.norm(mixed))
    torch.testing.assert_close(seen["out"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_fused_attention_and_hooks_are_as_before(fails):
    net = net_of("test_vit")
    net.blocks[1].attn.fused_attn = False
    before = [layer.fused_attn for layer in attention_layers(net)]
    assert before.count(True) == 5
    with (
        pytest.raises(ZeroDivisionError) if fails else reading_attention(net),
        reading_attention(net),
    ):
        assert not any(layer.fused_attn for layer in attention_layers(net))
        if fails:
            raise ZeroDivisionError
    assert [layer.fused_attn for layer in attention_layers(net)] == before
    assert not any(module._forward_hooks for module in net.modules())


def test_a_convolutional_network_has_none():
    assert attention_layers(net_of("resnet10t")) == []
