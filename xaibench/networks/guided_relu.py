"""ReLUs whose gradient passes where it is positive only: guided backpropagation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class GuidedReLUs:
    """The ReLU modules of a network while they are guided; see ``guided_relus``.

    Attributes:
        on: whether gradients are cut; may be changed between two backward passes of one forward.
    """

    def __init__(self) -> None:
        self.on = True


class _PositiveGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, output: Tensor, guided: GuidedReLUs) -> Tensor:
        ctx.guided = guided
        return output.clone()  # what comes behind may write into it

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return (gradient.clamp(min=0) if ctx.guided.on else gradient), None


def relu_names(net: nn.Module) -> tuple[str, ...]:
    """Return the names of the ReLU modules, each once."""
    return tuple(name for name, module in net.named_modules() if isinstance(module, nn.ReLU))


@contextmanager
def guided_relus(net: nn.Module) -> Iterator[GuidedReLUs]:
    """Let no negative gradient through any ReLU module in here (Springenberg et al. 2015).

    The output of each ReLU goes on through a copy whose gradient is cut at 0, so a ReLU may work
    in place and may be used several times. A ReLU that is called as a function is not seen.
    """
    guided = GuidedReLUs()
    hook = lambda module, inputs, output: _PositiveGradient.apply(output, guided)
    handles = [net.get_submodule(name).register_forward_hook(hook) for name in relu_names(net)]
    try:
        yield guided
    finally:
        for handle in handles:
            handle.remove()
