"""A twin of a model whose modules may be hooked: the same weights, the same count of passes."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn

from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.networks.tracing import traced, without_rule


class TargetScore(nn.Module):
    """A module for captum to hook, whose parts are all of the model's: the score of a target."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    @property
    def mark(self) -> nn.Module:
        """The module that gives what the marked module gives."""
        return self.model.net.mark

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        return self.model.score(images, targets, "logit")


_TRACED: WeakKeyDictionary[Classifier, dict[object, tuple[tuple, fx.GraphModule]]] = (
    WeakKeyDictionary()
)


def traced_network(
    model: Classifier, mark: str | None = None, addition: type[nn.Module] | None = None
) -> fx.GraphModule:
    """Return the network as ``networks.tracing.traced``; made anew when it has other parts."""
    parts = (*model.net.modules(), *model.net.parameters(), *model.net.buffers())
    known = _TRACED.setdefault(model, {})
    found = known.get((mark, addition))
    if found is None or [*map(id, found[0])] != [*map(id, parts)]:
        known[mark, addition] = found = (parts, traced(model.net, mark, addition))
    return found[1]


@contextmanager
def hookable(
    model: Classifier,
    mark: str | None = None,
    *,
    addition: type[nn.Module] | None = None,
    normalised: bool = False,
) -> Iterator[TargetScore]:
    """Give the target's logit through the traced network, for others to hook.

    It has the model's weights and counts the model's passes. What is left on its modules (hooks,
    attributes), even after an exception, is taken away.

    Args:
        mark, addition: see ``networks.tracing.traced``.
        normalised: the images that it is given are normalised already.
    """
    net = traced_network(model, mark, addition)
    twin = copy.copy(model)
    for name in _hook_tables(twin):
        vars(twin)[name] = OrderedDict()
    twin._modules = {"net": net}
    if normalised:
        twin._buffers = {"mean": torch.zeros_like(model.mean), "std": torch.ones_like(model.std)}
    found = [(module, set(vars(module))) for module in net.modules()]
    try:
        yield TargetScore(twin)
    finally:
        for module, names in found:
            for name in set(vars(module)) - names:
                del vars(module)[name]
            for name in _hook_tables(module):
                vars(module)[name].clear()


def _hook_tables(module: nn.Module) -> list[str]:
    return [n for n, table in vars(module).items() if "_hooks" in n and isinstance(table, dict)]


def check_rules(
    name: str,
    model: Classifier,
    modules: frozenset[type],
    functions: frozenset[object],
    *,
    addition: type[nn.Module] | None = None,
) -> None:
    """Raise UserError where the network does something that a method has no rule for.

    Args:
        name: of the method.
        modules, functions: what it has rules for; see ``networks.tracing.without_rule``.
    """
    try:
        odd = without_rule(traced_network(model, None, addition), modules, functions)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if odd is not None:
        raise UserError(f"{name} has no rule for {odd} of this network")
