"""A network as a row of steps, which may be run one by one on more than whole maps."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn

from xaibench.engine.folding import graph_of

Shapes = dict[fx.Node, tuple[int, ...]]


class Flow:
    """The steps of a network in their order.

    Attributes:
        image: the node that stands for the images.
        steps: the other nodes of its graph, the output last.
        modules: the module that a node calls.
        moving: the nodes whose value depends on the images.
        spent: what nobody reads any more after a node.
    """

    def __init__(self, net: nn.Module, graph: fx.Graph) -> None:
        modules = dict(net.named_modules())
        self.image = next(n for n in graph.nodes if n.op == "placeholder")
        self.steps = [n for n in graph.nodes if n is not self.image]
        self.modules = {n: modules[n.target] for n in self.steps if n.op == "call_module"}
        self._constants = {n: attrgetter(n.target)(net) for n in self.steps if n.op == "get_attr"}
        self.moving = {self.image}
        self.spent: dict[fx.Node, list[fx.Node]] = {}
        for node in self.steps:
            if self.moving.intersection(node.all_input_nodes):
                self.moving.add(node)
        seen: set[fx.Node] = set()
        for node in reversed(self.steps):
            self.spent[node] = [n for n in node.all_input_nodes if n not in seen]
            seen.update(node.all_input_nodes)

    def run(self, node: fx.Node, value_of: Callable[[fx.Node], Any]) -> Any:
        """Return what a step makes of the values of the nodes that it reads."""
        args, kwargs = fx.map_arg((node.args, node.kwargs), value_of)
        match node.op:
            case "call_module":
                return self.modules[node](*args, **kwargs)
            case "call_function":
                return node.target(*args, **kwargs)
            case "call_method":
                return getattr(args[0], node.target)(*args[1:], **kwargs)
            case "get_attr":
                return self._constants[node]
        return args[0]  # the output

    def shapes(self, net: nn.Module, image: Tensor) -> Shapes | None:
        """Return the shape of every tensor in a pass; None if the steps are not the network's.

        Each step is given copies of what it reads. So a network that changes a map in place, and
        reads it again as changed, gives itself away; tracing may even take ``+=`` for ``+``.
        """
        values: dict[fx.Node, Any] = {self.image: image}
        copied = lambda n: values[n].clone() if isinstance(values[n], Tensor) else values[n]
        for node in self.steps:
            values[node] = self.run(node, copied)
        made, true = values[self.steps[-1]], net(image)
        if not torch.allclose(made, true, rtol=0, atol=1e-3 * float(true.abs().max())):
            return None
        return {n: tuple(v.shape) for n, v in values.items() if isinstance(v, Tensor)}


_FLOWS: WeakKeyDictionary[nn.Module, Flow | None] = WeakKeyDictionary()


def flow_of(net: nn.Module) -> Flow | None:
    """Return the network's steps, read once; None where they cannot be read."""
    if net not in _FLOWS:
        graph = graph_of(net)
        alone = graph and [n.op for n in graph.nodes].count("placeholder") == 1
        _FLOWS[net] = Flow(net, graph) if alone else None
    return _FLOWS[net]
