"""The attention matrices of a transformer, read while images pass through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor, nn

Attention = Float[Tensor, "batch head query key"]
"""What each token takes from each other one, a row adds up to 1."""


def attention_layers(net: nn.Module) -> list[nn.Module]:
    """Return the modules of self-attention whose matrices can be read, from input to output.

    Those that pass their softmax on through a module ``attn_drop``, as timm's do; where one has an
    attribute ``fused_attn``, it does so while that is False. Attention that pools tokens for the
    head is not among them.
    """
    return [
        module
        for name, module in net.named_modules()
        if isinstance(getattr(module, "attn_drop", None), nn.Module) and "attn_pool" not in name
    ]


@contextmanager
def reading_attention(
    net: nn.Module, keep: Callable[[Attention], Tensor] = lambda attention: attention
) -> Iterator[list[Tensor]]:
    """Give a list that holds, after a pass, what was kept of each layer's attention, in order.

    Fused attention, which makes no matrix, is turned off inside and is as before behind; what
    comes out of the network differs by rounding alone.

    Args:
        keep: what to keep of a layer's attention, so that not all heads need to stay in memory.
    """
    layers = attention_layers(net)
    fused = [(layer, layer.fused_attn) for layer in layers if hasattr(layer, "fused_attn")]
    read: list[Tensor] = []
    hooks = [
        layer.attn_drop.register_forward_hook(lambda _, __, output: read.append(keep(output)))
        for layer in layers
    ]
    try:
        for layer, _ in fused:
            layer.fused_attn = False
        yield read
    finally:
        for hook in hooks:
            hook.remove()
        for layer, was in fused:
            layer.fused_attn = was
