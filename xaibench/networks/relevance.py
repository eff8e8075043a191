"""AttnLRP's rules as changes of a transformer's gradients: input x gradient is then relevance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from timm.layers import Attention
from timm.models.swin_transformer import WindowAttention
from torch import Tensor, nn

from xaibench.errors import UserError

# Both compute q, k and v as the thirds of what their module `qkv` gives.
_ATTENTION = (Attention, WindowAttention)
_ACTIVATIONS = (nn.GELU, nn.ReLU, nn.SiLU)


def check_attention(net: nn.Module) -> None:
    """Raise UserError where a network has no attention, or one that the rules do not know."""
    kinds = {type(m) for m in net.modules() if "attention" in type(m).__name__.lower()}
    if not kinds:
        raise UserError("the network has no attention; zennit.epsilon_plus has rules for others")
    other = [kind.__name__ for kind in kinds if not issubclass(kind, _ATTENTION)]
    if other:
        raise UserError(f"there are no rules for the network's {', '.join(sorted(other))}")
    gates = [
        m for m in net.modules() if getattr(m, "gate", None) or "glu" in type(m).__name__.lower()
    ]
    if gates:
        raise UserError(
            f"there are no rules for the gate in the network's {type(gates[0]).__name__}"
        )


@contextmanager
def relevance_gradients(net: nn.Module, *, through_softmax: bool) -> Iterator[None]:
    """Change a network's gradients, not its outputs: input x gradient becomes relevance.

    Normalisations and activations hand relevance on as they are (identity rule), a product of
    two activations shares it equally (uniform rule). Linear layers, additions and the softmax
    need no change: there input x gradient is the epsilon rule, and the softmax's Taylor rule.

    Args:
        through_softmax: AttnLRP; without it the attention is taken for a constant, which is
            CP-LRP.
    """
    hooks = []
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            hooks.append(module.register_forward_hook(_norm))
        elif isinstance(module, _ACTIVATIONS):
            hooks.append(module.register_forward_hook(_activation))
        elif isinstance(module, _ATTENTION):
            hook = partial(_thirds, through_softmax)
            hooks.append(module.qkv.register_forward_hook(hook))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _norm(module: nn.LayerNorm, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    x = inputs[0]
    dims = tuple(range(-len(module.normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    scale = (centred.square().mean(dims, keepdim=True) + module.eps).rsqrt().detach()
    scaled = centred * scale
    return scaled if module.weight is None else scaled * module.weight + _or_zero(module.bias)


def _or_zero(bias: Tensor | None) -> Tensor | float:
    return 0.0 if bias is None else bias


def _activation(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    x = inputs[0]
    # At 0 these give 0, and their slope is what the quotient tends to; no relevance is there.
    ratio = torch.where(x == 0, torch.zeros_like(x), output / torch.where(x == 0, 1, x)).detach()
    return x * ratio


def _thirds(
    through_softmax: bool, module: nn.Module, inputs: tuple[Tensor], output: Tensor
) -> Tensor:
    """Divide the gradients of q, k and v.

    attention @ v shares equally: half for v, half for the attention, of which q and k get half
    each, a quarter.
    """
    q, k, v = output.chunk(3, dim=-1)
    if through_softmax:
        return torch.cat([_divided(q, 4), _divided(k, 4), _divided(v, 2)], dim=-1)
    return torch.cat([q.detach(), k.detach(), v], dim=-1)


def _divided(x: Tensor, by: int) -> Tensor:
    """Return x, of which only a part of the gradient is handed back."""
    return x.detach() + (x - x.detach()) / by
