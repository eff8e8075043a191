"""Where a timm network has its stages, its last feature map, its pool and its head."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xaibench.networks.map_layers import gives_maps, last_map
from xaibench.networks.tokens import TokenGrid, token_grid

_POOL = "global_pool"


def places(net: nn.Module, shape: tuple[int, int, int]) -> dict[str, object]:
    """Return what a ``Classifier`` is told of a timm network, for images of a shape, by its names.

    A ValueError where the network cannot take such images. It is left as found.
    """
    name = classifier_name(net)
    linear = name is not None and isinstance(net.get_submodule(name), nn.Linear)
    tokens = token_grid(net, shape[1:])
    modes = [(module, module.training) for module in net.modules()]
    image = torch.linspace(0, 1, shape[0] * shape[1] * shape[2]).view(1, *shape)
    try:
        layer = cam_layer(net.eval(), name, tokens, image)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        why = str(error).splitlines()
        raise ValueError(why[0] if why else type(error).__name__) from error
    finally:
        for module, training in modes:
            module.training = training
    return {
        "cam_layer": layer,
        "linear_head": name if linear else None,
        "pool": pool_name(net),
        "stages": stages(net, name),
        "tokens": tokens,
        "head_module": name,
    }


def classifier_name(net: nn.Module) -> str | None:
    """Return the name of the module that makes the outputs, or None."""
    classifier = net.get_classifier() if hasattr(net, "get_classifier") else None
    return next((n for n, m in net.named_modules() if n and m is classifier), None)


def _classifiers(net: nn.Module) -> frozenset[str]:
    """Return the names of all modules that make outputs: DeiT's distilled ones have two."""
    found = net.get_classifier() if hasattr(net, "get_classifier") else ()
    heads = found if isinstance(found, tuple | list) else (found,)
    return frozenset(n for n, m in net.named_modules() if n and any(m is head for head in heads))


def pool_name(net: nn.Module) -> str | None:
    """Return the name of the module that pools the last feature map, or None."""
    return _POOL if isinstance(getattr(net, _POOL, None), nn.Module) else None


def replace_head(net: nn.Module, name: str, head: nn.Module) -> None:
    """Put another head in the place of the one of that name."""
    parent, _, own = name.rpartition(".")
    setattr(net.get_submodule(parent), own, head)


def tame_head(net: nn.Module, name: str | None) -> None:
    """Draw a fresh linear head anew, as torch would, where timm drew it far too wide.

    timm's EfficientNets draw it by the number of outputs, as TensorFlow did for a thousand
    classes: with one output the weights reach 1, the logits tens, and training with the rest
    frozen starts from there and gets nowhere.
    """
    head = net.get_submodule(name) if name else None
    if isinstance(head, nn.Linear) and head.weight.abs().max() > 2 / head.in_features**0.5:
        head.reset_parameters()


def stages(net: nn.Module, head: str | None) -> tuple[tuple[str, ...], ...]:
    """Return the names of what has weights, from input to output, grouped into stages.

    A stage ends at a module that ``feature_info`` names, which is where the resolution changes;
    what comes behind the last of them, without the head, belongs to the last stage. A network
    without ``feature_info`` has a stage a child. Parameters of the network itself (position
    embeddings) belong to the first stage.
    """
    ends = _feature_ends(net)
    groups = [[name for name, _ in net.named_parameters(recurse=False)]]
    for name in _units(net, head):
        if net.get_submodule(name).state_dict():
            groups[-1].append(name)
        if name in ends or not ends:
            groups.append([])
    behind = groups.pop() if ends else []
    found = [group for group in groups if group]
    if found:
        found[-1] += behind
    return tuple(tuple(group) for group in found)


def cam_layer(
    net: nn.Module,
    head: str | None,
    tokens: TokenGrid,
    image: Float[Tensor, "1 channel height width"],
) -> str | None:
    """Return the name of the module whose output is the last feature map, or None without maps.

    In a convolutional network it is the last module before the pool, or the one that
    ``feature_info`` names last. In one of tokens, or with channels last, it is found by a pass of
    the image; see ``last_map``. The network is in evaluation mode.
    """
    info = getattr(net, "feature_info", None)
    if not info:
        return None
    units = list(_units(net, head))
    if pool_name(net) is not None and not hasattr(net, "patch_embed"):
        before = [n for n in units[: units.index(_POOL)] if not _idle(net.get_submodule(n))]
        return before[-1] if before else info[-1]["module"]
    last = info[-1]["module"]
    if not hasattr(net, "patch_embed") and gives_maps(net, last, image):
        return last
    return last_map(net, units, head, tokens, image)


def _feature_ends(net: nn.Module) -> frozenset[str]:
    return frozenset(each["module"] for each in getattr(net, "feature_info", None) or ())


def _units(net: nn.Module, head: str | None) -> Iterator[str]:
    """Yield the largest modules that hold neither the head nor a stage's end among others."""
    heads = _classifiers(net) | ({head} if head else set())
    inner = _feature_ends(net) | heads

    def walk(name: str, module: nn.Module) -> Iterator[str]:
        if any(each.startswith(f"{name}.") for each in inner):
            for child, part in module.named_children():
                yield from walk(f"{name}.{child}", part)
        elif name not in heads:
            yield name

    for child, part in net.named_children():
        yield from walk(child, part)


def _idle(module: nn.Module) -> bool:
    return isinstance(module, nn.Dropout | nn.Identity)
