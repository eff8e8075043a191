"""Which steps of a network are local: a pixel of their output reads few pixels of their input."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from timm.layers import BatchNormAct2d, Conv2dSame, DropPath, LayerNorm2d
from torch import Tensor, fx, nn
from torch.nn import functional as F

from xaibench.engine.windows.reach import Slide
from xaibench.models.base import HOOK_TABLES

Pair = tuple[int, int]


@dataclass(frozen=True)
class Sliding:
    """A kernel that slides over a padded map.

    Attributes:
        slides: along the rows and along the columns.
        value: what the map is padded with.
        apply: the step on a map that is padded already.
    """

    slides: tuple[Slide, Slide]
    value: float
    apply: Callable[[Tensor], Tensor]


def sliding_of(module: nn.Module | None, size: Pair, outputs: Pair) -> Sliding | None:
    """Return how a module slides over maps of a size; None where it does not, or not simply.

    Args:
        size, outputs: height and width of the map that it reads, and of the one that it makes.
    """
    if module is None or watched(module):
        return None
    if type(module) is nn.MaxPool2d and not module.return_indices:
        slides = _slides(module, _pair(module.padding), _pair(module.dilation))
        pool = partial(F.max_pool2d, kernel_size=module.kernel_size, stride=module.stride)
        return Sliding(slides, -torch.inf, partial(pool, dilation=module.dilation))
    if type(module) is nn.AvgPool2d:
        return _average(module, size, outputs)
    if type(module) is Conv2dSame or (type(module) is nn.Conv2d and module.padding_mode == "zeros"):
        before = _padding_before(module, size, outputs)
        return Sliding(_slides(module, before, module.dilation), 0.0, partial(_convolved, module))
    return None


def pointwise(node: fx.Node, module: nn.Module | None) -> bool:
    """Say whether each pixel of a step's output reads that pixel alone of each map it is given."""
    if module is not None:
        return _pointwise_module(module)
    if node.target is torch.cat:
        return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0) == 1
    names = _METHODS if node.op == "call_method" else _FUNCTIONS
    return node.target in names


def watched(module: nn.Module) -> bool:
    """Say whether hooks must see the module's whole input or output."""
    return any(getattr(module, table) for table in HOOK_TABLES)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _slides(module: nn.Module, before: Pair, dilation: Pair = (1, 1)) -> tuple[Slide, Slide]:
    sides = zip(_pair(module.kernel_size), _pair(module.stride), dilation, before, strict=True)
    rows, columns = (Slide(*side) for side in sides)
    return rows, columns


def _padding_before(conv: nn.Conv2d, size: Pair, outputs: Pair) -> Pair:
    if type(conv) is not Conv2dSame:
        # Read where torch itself does: padding may be a word. Last side first, ends in turn.
        return conv._reversed_padding_repeated_twice[2], conv._reversed_padding_repeated_twice[0]
    slides = _slides(conv, (0, 0), conv.dilation)
    before = (
        max(slide.needed(made) - side, 0) // 2
        for slide, made, side in zip(slides, outputs, size, strict=True)
    )
    return tuple(before)


def _convolved(conv: nn.Conv2d, padded: Tensor) -> Tensor:
    return F.conv2d(padded, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)


def _average(pool: nn.AvgPool2d, size: Pair, outputs: Pair) -> Sliding | None:
    """Means divide by fewer pixels at a border that does not count: those pools are not simple."""
    slides = _slides(pool, _pair(pool.padding))
    sides = list(zip(slides, size, outputs, strict=True))
    hangs_over = any(s.needed(made) > side + 2 * s.before for s, side, made in sides)
    padded = any(slide.before for slide in slides) and not pool.count_include_pad
    if hangs_over or padded:
        return None
    apply = partial(
        F.avg_pool2d,
        kernel_size=pool.kernel_size,
        stride=pool.stride,
        divisor_override=pool.divisor_override,
    )
    return Sliding(slides, 0.0, apply)


def _pointwise_module(module: nn.Module) -> bool:
    if watched(module) or not all(map(_pointwise_module, module.children())):
        return False
    if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
        return False  # its statistics are those of the batch
    return type(module) in _MODULES


_MODULES = {
    nn.Sequential, nn.Identity, nn.Dropout, nn.Dropout2d, DropPath, nn.BatchNorm2d, BatchNormAct2d,
    LayerNorm2d, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU,
    nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus,
}  # fmt: skip

_FUNCTIONS = {
    operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul,
    operator.truediv, operator.itruediv, operator.neg, torch.add, torch.sub, torch.mul, torch.relu,
    torch.relu_, torch.sigmoid, torch.tanh, F.relu, F.relu_, F.relu6, F.leaky_relu, F.elu, F.gelu,
    F.silu, F.mish, F.hardswish, F.hardsigmoid, F.hardtanh, F.softplus, F.sigmoid, F.tanh,
}  # fmt: skip

_METHODS = {"add", "add_", "sub", "sub_", "mul", "mul_", "neg", "relu", "relu_", "sigmoid", "tanh"}
