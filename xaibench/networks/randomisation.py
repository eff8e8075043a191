"""Layers of a network drawn anew: what a network is that has not learnt, or not all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from xaibench.randomness import image_seed

_PICTURES = 16
_CELLS = (1, 4, 16)


def layers_of(net: nn.Module, images: Float[Tensor, "batch channel height width"]) -> list[str]:
    """Return the names of the modules with parameters of their own, from input to output.

    In the order in which a pass of the images reaches them. What no pass reaches by itself (a part
    whose weights another one reads) stands where the module that holds it is reached.
    """
    times: dict[str, int] = {}

    def note(name: str, *_: object) -> None:
        times.setdefault(name, len(times))

    modules = net.named_modules()
    hooks = [each.register_forward_pre_hook(partial(note, name)) for name, each in modules]
    try:
        with torch.no_grad():
            net(images)
    finally:
        for hook in hooks:
            hook.remove()

    def reached(name: str) -> int:
        while name not in times:
            name = name.rpartition(".")[0]
        return times[name]

    own = [name for name, each in net.named_modules() if [*each.parameters(recurse=False)]]
    return sorted(own, key=reached)


def draw_anew(
    net: nn.Module,
    names: Sequence[str],
    images: Float[Tensor, "batch channel height width"],
    seed: int,
) -> None:
    """Draw the parameters of some layers anew, in place; on the CPU, in evaluation mode.

    A layer does it by its own ``reset_parameters``; where it has none, its parameters become
    normal numbers of the mean and standard deviation that they had. What a layer becomes depends
    on the seed and its name alone, not on which others are drawn.

    Batch norms among the layers take the statistics of the images in place of the usual means of 0
    and variances of 1, from the first to the last in one pass: with those every layer shrinks what
    it passes on, and the scores of a deep network (EfficientNet-B0) no longer depend on the image
    at all, in float32.

    Args:
        images: as the network takes them; see ``pictures``.
    """
    for name in names:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(image_seed(seed, name))
            _draw(net.get_submodule(name))
    norms = [m for m in map(net.get_submodule, names) if isinstance(m, _BatchNorm)]
    with _learning(norms), torch.no_grad():
        net(images)


def pictures(shape: tuple[int, int, int], seed: int) -> Float[Tensor, "batch channel height width"]:
    """Return 16 seeded images in [0, 1] of (channels, height, width), coarse and fine at once."""
    generator = torch.Generator().manual_seed(seed)
    channels, *size = shape
    layers = [
        F.interpolate(torch.rand(_PICTURES, channels, *cells, generator=generator), size)
        for cells in (*((n, n) for n in _CELLS), tuple(size))
    ]
    return torch.stack(layers).mean(0)


def _draw(layer: nn.Module) -> None:
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters()
        return
    for values in layer.parameters(recurse=False):
        values.normal_(values.mean().item(), values.std(correction=0).item())


@contextmanager
def _learning(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Have batch norms take the statistics of what passes through them."""
    found = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.training, norm.momentum = True, None
    try:
        yield
    finally:
        for norm, (training, momentum) in zip(norms, found, strict=True):
            norm.training, norm.momentum = training, momentum
