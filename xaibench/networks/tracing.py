"""A network drawn anew as a graph in which every activation is a module of its own.

Methods that hook activations need that: an in-place ReLU overwrites what a hook keeps, a module
that is used twice is hooked once, and a functional ReLU or an addition cannot be hooked at all.
"""

from __future__ import annotations

import copy
import operator
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from xaibench.errors import UserError

_RELU = {F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"}
_ADD = {operator.add, operator.iadd, torch.add, "add", "add_"}


class Mark(nn.Module):
    """Gives what it is given; stands where the output of a module of some name is read."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def traced(
    net: nn.Module,
    mark: str | None = None,
    addition: Callable[[], nn.Module] | None = None,
    whole: tuple[type[nn.Module], ...] = (),
) -> fx.GraphModule:
    """Return a network of the same outputs whose modules may be hooked one by one.

    Each use of a module is a module of its own, never in place; ReLU is always a module;
    ``nn.Identity``, and ``nn.Dropout``, which does nothing here, are left out, ``nn.Flatten`` is
    a function. Weights are the network's own tensors, not copies; hooks are not carried over. It
    is always in evaluation mode. A module whose forward branches on its input stays whole.

    Args:
        mark: name of a module behind whose output a ``Mark`` named ``mark`` stands.
        addition: makes the module that adds two tensors; without it a sum stays a function.
        whole: further modules that are not looked into.

    Raises:
        UserError: the network cannot be traced by ``torch.fx``, or the marked module is not used.
    """
    tracer = _Tracer(whole)
    try:
        graph = tracer.trace(net)
    except Exception as error:
        raise UserError(
            f"the network cannot be traced by torch.fx ({type(error).__name__}: {error}), so its "
            "activations cannot be made modules of their own"
        ) from error
    drawn = fx.GraphModule(net, graph)
    behind = tracer.outputs.get(mark)
    for node in list(graph.nodes):
        kept = _own_module(drawn, node, addition)
        behind = kept if node is behind else behind
    if mark is not None:
        if behind is None:
            raise UserError(f"the network does not use its module {mark!r}")
        _mark(drawn, behind)
    graph.eliminate_dead_code()
    drawn.delete_all_unused_submodules()
    drawn.recompile()
    return drawn.eval()


class _Tracer(fx.Tracer):
    """Remembers which node is the output of each module."""

    def __init__(self, whole: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}
        self._whole = (nn.Conv2d, nn.Linear, *whole)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self._whole) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict
    ) -> fx.Proxy | object:
        path, stack = self.path_of_module(m), self.module_stack.copy()
        try:
            output = super().call_module(m, forward, args, kwargs)
        except fx.proxy.TraceError:
            self.module_stack = stack  # torch.fx leaves it where it broke off
            output = self.create_proxy("call_module", path, args, kwargs)
        if isinstance(output, fx.Proxy):
            self.outputs[path] = output.node
        return output


def _own_module(
    drawn: fx.GraphModule, node: fx.Node, addition: Callable[[], nn.Module] | None
) -> fx.Node:
    """Make a node's module its own; return the node that gives its output from now on."""
    tensors = [argument for argument in node.args if isinstance(argument, fx.Node)]
    if node.op == "call_module":
        module = drawn.get_submodule(str(node.target))
        if isinstance(module, nn.Identity | nn.Dropout):
            return _bypassed(node)
        if type(module) is nn.Flatten:
            node.op, node.target = "call_function", torch.flatten
            node.args = (*node.args, module.start_dim, module.end_dim)
            return node
        _place(drawn, node, _clone(module))
    elif node.op in ("call_function", "call_method"):
        if node.target in _RELU:
            _place(drawn, node, nn.ReLU(), *tensors)
        elif addition and node.target in _ADD and len(tensors) == 2 and tensors[0] != tensors[1]:
            _place(drawn, node, addition(), *tensors)
    return node


def _bypassed(node: fx.Node) -> fx.Node:
    before = node.args[0]
    node.replace_all_uses_with(before)
    node.graph.erase_node(node)
    return before


def _place(drawn: fx.GraphModule, node: fx.Node, module: nn.Module, *inputs: fx.Node) -> None:
    name = f"{node.name}_own"
    drawn.add_submodule(name, module)
    node.op, node.target = "call_module", name
    if inputs:
        node.args, node.kwargs = inputs, {}


def _mark(drawn: fx.GraphModule, behind: fx.Node) -> None:
    drawn.add_submodule("mark", Mark())
    with drawn.graph.inserting_after(behind):
        mark = drawn.graph.call_module("mark", (behind,))
    behind.replace_all_uses_with(mark, delete_user_cb=lambda user: user is not mark)


def _clone(module: nn.Module) -> nn.Module:
    """Return a module with the same weights, without hooks, whose parts are clones, too."""
    clone = copy.copy(module)
    for name, value in vars(module).items():
        if "_hooks" in name and isinstance(value, dict):
            vars(clone)[name] = OrderedDict()
    clone._is_full_backward_hook = None
    clone._modules = {name: part and _clone(part) for name, part in module._modules.items()}
    if getattr(clone, "inplace", False):
        clone.inplace = False
    return clone


def without_rule(
    net: fx.GraphModule, modules: frozenset[type], functions: frozenset[object]
) -> str | None:
    """Return the first operation of a traced network that is not among those given, in words.

    Args:
        modules: types of modules, exactly these; what holds modules is looked into.
        functions: functions, and names of a tensor's methods.
    """
    for node in net.graph.nodes:
        if node.op == "call_module":
            for name, part in net.get_submodule(str(node.target)).named_modules():
                if not [*part.children()] and type(part) not in modules | {Mark}:
                    place = f"{str(node.target).removesuffix('_own')}.{name}".rstrip(".")
                    return f"the {type(part).__name__} {place!r}"
        elif node.op in ("call_function", "call_method") and node.target not in functions:
            return f"the function {getattr(node.target, '__name__', node.target)!r}"
    return None


RESHAPING: frozenset[object] = frozenset(
    {torch.flatten, torch.reshape, torch.cat, torch.permute, torch.transpose, torch._assert}
    | {getattr, operator.eq, operator.getitem, "flatten", "reshape", "view", "permute"}
    | {"transpose", "contiguous", "squeeze", "unsqueeze", "size", "expand", "unbind"}
)
"""Functions of a network that move numbers and change none."""

LINEAR: frozenset[object] = RESHAPING | frozenset(
    {operator.add, operator.iadd, operator.sub, torch.add, "add", "add_", torch.mean, "mean", "sum"}
    | {F.batch_norm, F.avg_pool2d, F.adaptive_avg_pool2d, F.pad}
)
"""Functions of a network that are linear in what they are given, up to a constant."""
