"""Weights rounded to bfloat16 so that scores move little: sums of filters and biases are kept.

Rounding a weight by its own makes a filter that had no sum (an edge detector) answer to plain
brightness, and a rounded bias shifts a map everywhere: errors that are the same for every image
and add up over a curve, where those of activations cancel.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm


def round_weights(net: nn.Module) -> None:
    """Round a network in place; batch norms and the biases of convolutions stay in float32."""
    for name, module in list(net.named_modules()):
        if isinstance(module, _BatchNorm):
            continue
        bias = None
        if isinstance(module, nn.Conv2d):
            module.weight.data = rounded_filters(module.weight.data)
            bias, module.bias = module.bias, None
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.is_floating_point():
                tensor.data = tensor.data.bfloat16()
        if bias is not None:
            net.set_submodule(name, _Biased(module, bias.data))


def rounded_filters(
    weight: Float[Tensor, "out in height width"],
) -> Float[Tensor, "out in height width"]:
    """Return bfloat16's nearest values, but for the two smallest of each filter's.

    They take what the others lost of the filter's sum: where values are small, bfloat16 is fine.
    """
    exact = weight.flatten(2).double()
    near = exact.bfloat16()
    if exact.shape[2] > 1:
        smallest = exact.abs().argsort(dim=2)
        for place in (1, 0):
            at = smallest[..., place : place + 1]
            lost = (exact - near.double()).sum(2, keepdim=True)
            near.scatter_(2, at, (near.gather(2, at).double() + lost).bfloat16())
    return near.view(weight.shape).contiguous(memory_format=torch.channels_last)


class _Biased(nn.Module):
    """A convolution in bfloat16 with its bias in float32."""

    def __init__(self, conv: nn.Conv2d, bias: Float[Tensor, " out"]) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("bias", bias.view(1, -1, 1, 1))

    def forward(self, images: Tensor | fx.Proxy) -> Tensor | fx.Proxy:  # windows trace it
        return self.conv(images).add_(self.bias)
