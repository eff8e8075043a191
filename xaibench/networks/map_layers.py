"""The last layer of a network that gives a map of patches that still reach its head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xaibench.networks.tokens import NoMapError, TokenGrid


def last_map(
    net: nn.Module,
    units: Sequence[str],
    head: str | None,
    tokens: TokenGrid,
    image: Float[Tensor, "1 channel height width"],
) -> str | None:
    """Return the name of the last layer whose every patch reaches the head, or None.

    The last of ``units`` that does; where behind one only the class token reaches the head, the
    last part of it that does. So it is the last block's ``norm1`` in a ViT that reads its class
    token: what its patches become behind the last attention is never looked at.
    """
    names = [name for unit in reversed(units) for name in _with_parts(net, unit)]
    reach = reaching(net, names, head, tokens, image)
    return next((name for name in names if reach.get(name)), None)


def reaching(
    net: nn.Module,
    names: Sequence[str],
    head: str | None,
    tokens: TokenGrid,
    image: Float[Tensor, "1 channel height width"],
) -> dict[str, bool]:
    """Return of each layer that gives a map of patches whether all of them reach the head.

    By the gradient of a sum of what the head reads (of the outputs, where there is none): a fresh
    head may be all zero. One forward and one backward pass; the network is in evaluation mode.
    """
    given: dict[str, Tensor] = {}
    read: list[Tensor] = []
    keep = lambda name: lambda _, __, output: given.__setitem__(name, output)
    hooks = [net.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    if head is not None:
        first = lambda _, inputs: read.append(inputs[0])
        hooks.append(net.get_submodule(head).register_forward_pre_hook(first))
    try:
        with torch.enable_grad():
            outputs = net(image.clone().requires_grad_())
            last = (read[-1] if read else outputs).flatten(1)
            # Weighted, since what comes out of a layer norm adds up to a constant.
            total = (last * torch.linspace(1, 2, last.shape[1], device=last.device)).sum()
    finally:
        for hook in hooks:
            hook.remove()
    maps = {name: output for name, output in given.items() if _is_map(tokens, output)}
    wanted = list(maps.values())
    gradients = torch.autograd.grad(total, wanted, allow_unused=True) if wanted else ()
    return {
        name: gradient is not None and bool(tokens.maps(gradient).ne(0).any(dim=1).all())
        for name, gradient in zip(maps, gradients, strict=True)
    }


def gives_maps(net: nn.Module, name: str, image: Float[Tensor, "1 channel height width"]) -> bool:
    """Say whether a pass of the image reaches a module and it gives maps (1, K, h, w)."""
    if name not in dict(net.named_modules()) or getattr(net, "output_fmt", "NCHW") == "NHWC":
        return False
    seen: list[object] = []
    hook = net.get_submodule(name).register_forward_hook(lambda *call: seen.append(call[2]))
    try:
        with torch.no_grad():
            net(image)
    finally:
        hook.remove()
    return bool(seen) and isinstance(seen[-1], Tensor) and seen[-1].ndim == 4


def _is_map(tokens: TokenGrid, output: object) -> bool:
    try:
        maps = tokens.maps(output)
    except NoMapError:
        return False
    return len(maps) == 1 and maps.requires_grad and maps.shape[2:].numel() > 1


def _with_parts(net: nn.Module, name: str) -> Iterator[str]:
    """Yield a module and then its parts, from the last to the first, without what attention holds.

    Of a module in which nothing happens (an Identity, a Dropout in evaluation mode) the name says
    nothing: it is left out.
    """
    module = net.get_submodule(name)
    if isinstance(module, nn.Identity | nn.Dropout):
        return
    yield name
    if any(word in type(module).__name__.lower() for word in ("attention", "attn")):
        return
    for child, _ in reversed(list(module.named_children())):
        yield from _with_parts(net, f"{name}.{child}")
