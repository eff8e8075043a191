"""Where any network has its last feature map, its pool and its head: seen in a pass of an image."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xaibench.networks import parts
from xaibench.networks.map_layers import last_map
from xaibench.networks.tokens import TokenGrid


def discovered(
    net: nn.Module, shape: tuple[int, int, int], tokens: TokenGrid | None = None
) -> dict[str, object]:
    """Return what a ``Classifier`` is told of a network, for images of a shape, by its names.

    Of a timm network as ``parts.places`` finds it. Of another one: ``linear_head`` is the linear
    layer whose output is the network's; ``pool`` the module that makes one number of each of the
    last maps; ``cam_layer`` the outermost module that gives these maps, or where it has tokens the
    last one whose patches reach the head. None for what is not found.

    Raises:
        ValueError: the network cannot take such images.
    """
    if hasattr(net, "get_classifier") and hasattr(net, "feature_info"):
        return parts.places(net, shape)
    modes = [(module, module.training) for module in net.modules()]
    image = torch.linspace(0, 1, shape[0] * shape[1] * shape[2]).view(1, *shape)
    try:
        seen = _Pass.of(net.eval(), image)
        head = seen.head()
        if tokens is not None:
            units = [name for name, _ in net.named_children() if name != head]
            layer, pool = last_map(net, units, head, tokens, image), None
        else:
            layer, pool = seen.maps()
    except (RuntimeError, AssertionError, ValueError, IndexError, TypeError) as error:
        why = str(error).splitlines()
        raise ValueError(why[0] if why else type(error).__name__) from error
    finally:
        for module, training in modes:
            module.training = training
    linear = head is not None and isinstance(net.get_submodule(head), nn.Linear)
    return {
        "cam_layer": layer,
        "linear_head": head if linear else None,
        "pool": pool,
        "stages": parts.stages(net, head),
        "tokens": tokens,
        "head_module": head,
    }


@dataclass
class _Pass:
    """What each module gave, in the order in which they were done; a module ends after its parts.

    Tensors are told apart by where they lie: all are kept, so that no place is used twice.
    """

    given: list[tuple[str, Tensor]] = field(default_factory=list)
    read: dict[str, Tensor] = field(default_factory=dict)
    output: Tensor | None = None
    leaves: frozenset[str] = frozenset()
    weighted: frozenset[str] = frozenset()
    linear: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()

    @classmethod
    def of(cls, net: nn.Module, image: Float[Tensor, "1 channel height width"]) -> _Pass:
        named = [(name, module) for name, module in net.named_modules() if name]
        seen = cls(
            leaves=frozenset(n for n, m in named if not [*m.children()]),
            weighted=frozenset(n for n, m in named if isinstance(m, nn.Linear | nn.Conv2d)),
            linear=frozenset(n for n, m in named if isinstance(m, nn.Linear)),
            pools=frozenset(
                n for n, m in named if isinstance(m, nn.AdaptiveAvgPool2d | nn.AvgPool2d)
            ),
        )
        hooks = []
        for name, module in named:
            hooks.append(module.register_forward_hook(seen._keeping(name)))
        try:
            with torch.no_grad():
                seen.output = net(image)
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    def _keeping(self, name: str):
        def keep(_: nn.Module, inputs: tuple, output: object) -> None:
            if isinstance(output, Tensor):
                self.given.append((name, output))
                if inputs and isinstance(inputs[0], Tensor):
                    self.read[name] = inputs[0]

        return keep

    def head(self) -> str | None:
        """Return the name of the last layer with weights, if the outputs are its own."""
        if not isinstance(self.output, Tensor):
            return None
        last = next((n for n, _ in reversed(self.given) if n in self.weighted), None)
        if last is None:
            return None
        made = next(tensor for name, tensor in reversed(self.given) if name == last)
        if last in self.linear:
            return last if torch.equal(made, self.output) else None
        # A convolution before the pool, as in SqueezeNet: a channel an output.
        return last if made.ndim == 4 and made.shape[1] == self.output.shape[1] else None

    def maps(self) -> tuple[str | None, str | None]:
        """Return the outermost module that gives the last maps, and the pool behind it."""
        pool = next(
            (
                name
                for name, output in reversed(self.given)
                if name in self.leaves and self._pools(name, output)
            ),
            None,
        )
        if pool is not None:
            last = self.read[pool]
        else:
            maps = [t for n, t in self.given if n in self.leaves - self.pools and _is_map(t)]
            if not maps:
                return None, None
            last = maps[-1]
        same = [n for n, t in self.given if t.data_ptr() == last.data_ptr() and t.ndim == 4
                and t.shape == last.shape]  # fmt: skip
        if not same:  # a function stands between: the last module that gave maps
            same = [n for n, t in self.given if _is_map(t)][-1:]
        # Of several on one level the last: the others were overwritten in place.
        return min(reversed(same), key=lambda name: name.count("."), default=None), pool

    def _pools(self, name: str, output: Tensor) -> bool:
        """Say whether a module gave the mean of each of the maps that it read."""
        maps = self.read.get(name)
        if maps is None or maps.ndim != 4 or name in self.weighted:
            return False
        if maps.shape[2:].numel() == 1 and name not in self.pools:  # where all that flattens does
            return False
        means = maps.mean(dim=(2, 3))
        return (
            output.shape[:2] == means.shape
            and output.numel() == means.numel()
            and torch.allclose(output.flatten(1), means, rtol=1e-4, atol=1e-5)
        )


def _is_map(tensor: Tensor) -> bool:
    return tensor.ndim == 4 and tensor.shape[2:].numel() > 1
