"""What zennit's composites share: a network in the form that their rules need, and the pass."""

from __future__ import annotations

import copy
import operator
from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional as F
from zennit.attribution import Gradient
from zennit.canonizers import NamedMergeBatchNorm
from zennit.core import Composite
from zennit.layer import Sum
from zennit.types import Activation, BatchNorm, Linear

from xaibench.engine import Batch, Maps, maps_in_batches
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount

# Operations that pass relevance on by their gradient: they move values, or are linear in one of
# them. A rectifier may stand there, since what it holds back has no relevance behind it either.
_PLAIN_FUNCTIONS = (
    torch.flatten,
    torch.cat,
    torch.relu,
    F.relu,
    F.dropout,
    operator.getitem,
    getattr,
)
_PLAIN_METHODS = ("flatten", "view", "reshape", "contiguous", "size", "relu", "chunk", "squeeze")
_ADDITIONS = (operator.add, operator.iadd, torch.add)
_RULED = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.Dropout, nn.Identity, nn.Flatten)


class CompositeExplainer(Explainer):
    """Relevance by one of zennit's composites, rule by rule from the target's logit to the image.

    Summed over channels, signed. The network is traced anew: residual additions become modules
    that share relevance by contribution, batch norms are merged into the convolution before them.
    Cost: one forward and one backward pass.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    starts_at_one: ClassVar[bool] = False
    """Whether 1 is handed down from the output, as for a gradient, instead of the logit."""
    needs_relu: ClassVar[bool] = False
    """Whether it changes ReLUs alone: without one it would be a plain gradient."""

    def check(self, model: Classifier) -> None:
        try:
            canonical(model)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from None
        if self.needs_relu and not any(isinstance(m, nn.ReLU) for m in model.net.modules()):
            raise UserError(
                f"{self.name}: it changes how ReLU passes gradients, and the network has none"
            )

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    @abstractmethod
    def composite(self, merge: NamedMergeBatchNorm, low: Tensor, high: Tensor) -> Composite:
        """Return the composite.

        Args:
            merge: the canonizer of this network's batch norms.
            low, high: a black and a white image as the network sees them, (1, C, H, W).
        """

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        net, merge = canonical(model)
        return maps_in_batches(model, batch, lambda part: self._maps(model, net, merge, part))

    def _maps(
        self, model: Classifier, net: nn.Module, merge: NamedMergeBatchNorm, part: Batch
    ) -> Float[Tensor, "batch height width"]:
        normalised = lambda images: ((images - model.mean) / model.std).detach()
        low, high = (
            normalised(make(part.images[:1])) for make in (torch.zeros_like, torch.ones_like)
        )
        composite = self.composite(merge, low, high)
        with torch.enable_grad(), Gradient(net, composite) as attributor:
            start = lambda logits: _at_target(logits, part.targets, self.starts_at_one)
            images = normalised(part.images).requires_grad_()
            _, relevance = attributor(images, start)
        # It was a copy that was passed: the model has counted nothing.
        model.passes.forward += len(part)
        model.passes.backward += len(part)
        return relevance.detach().sum(1)


def _at_target(
    logits: Float[Tensor, "batch output"], targets: Tensor, one: bool
) -> Float[Tensor, "batch output"]:
    """Return what is handed down: the target's logit, or 1, in its column and 0 elsewhere."""
    at = targets[:, None]
    value = torch.ones_like(logits) if one else logits.detach()
    return torch.zeros_like(logits).scatter(1, at, value.gather(1, at))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _RULED) or super().is_leaf_module(m, module_qualified_name)


class _SumOfTwo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sum = Sum()

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.sum(torch.stack(torch.broadcast_tensors(one, other), dim=-1))


def canonical(model: Classifier) -> tuple[fx.GraphModule, NamedMergeBatchNorm]:
    """Return a copy in which every operation that needs a rule is a module, and the merges.

    It has a column for each class: -z and z where the model has a single logit z.

    Raises:
        UserError: an operation that the rules know no answer to, such as attention.
    """
    copied = copy.deepcopy(model.net).eval().requires_grad_(False)
    if model.head == "single_logit":
        _two_columns(copied, model.linear_head)
    for module in copied.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # hooks read what it would overwrite
    try:
        graph = _Tracer().trace(copied)
    except Exception as error:
        raise UserError(
            f"the network cannot be traced ({type(error).__name__}: {error}), and without that "
            "its additions are hidden from the rules"
        ) from None
    traced = fx.GraphModule(copied, graph)
    for node in list(graph.nodes):
        _rule_for(traced, node)
    graph.lint()
    traced.recompile()
    return traced, NamedMergeBatchNorm(_merges(traced))


def _two_columns(net: nn.Module, linear_head: str | None) -> None:
    if linear_head is None:
        raise UserError(
            "a single logit is explained through the last linear layer, and the model names none"
        )
    head = net.get_submodule(linear_head)
    head.weight = nn.Parameter(torch.cat([-head.weight, head.weight]), requires_grad=False)
    if head.bias is not None:
        head.bias = nn.Parameter(torch.cat([-head.bias, head.bias]), requires_grad=False)
    head.out_features = 2


def _rule_for(traced: fx.GraphModule, node: fx.Node) -> None:
    """Put a module in the place of an addition or a mean; refuse what has no rule."""
    both = sum(isinstance(a, fx.Node) for a in node.args) == 2
    if node.op == "call_function" and node.target in _ADDITIONS and both:
        _replace(traced, node, _SumOfTwo(), node.args)
    elif node.op == "call_method" and node.target == "mean" and _over_space(node):
        keep = node.kwargs.get("keepdim", node.args[2] if len(node.args) > 2 else False)
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Identity() if keep else nn.Flatten())
        _replace(traced, node, pool, node.args[:1])
    elif node.op == "call_module":
        module = traced.get_submodule(node.target)
        kinds = (*_RULED, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d)
        if not isinstance(module, kinds) and not isinstance(module, Activation):
            raise UserError(f"there is no rule for {type(module).__name__} ({node.target})")
        if isinstance(module, nn.MultiheadAttention):
            raise UserError(f"there is no rule for attention ({node.target})")
    elif node.op in ("call_function", "call_method"):
        plain = _PLAIN_FUNCTIONS if node.op == "call_function" else _PLAIN_METHODS
        if node.target not in plain:
            name = getattr(node.target, "__name__", node.target)
            raise UserError(f"there is no rule for the operation `{name}` of the network")


def _over_space(node: fx.Node) -> bool:
    dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return isinstance(dims, tuple | list) and sorted(d % 4 for d in dims) == [2, 3]


def _replace(traced: fx.GraphModule, node: fx.Node, module: nn.Module, args: tuple) -> None:
    name = f"canonical_{node.name}"
    traced.add_submodule(name, module)
    with traced.graph.inserting_after(node):
        new = traced.graph.call_module(name, tuple(args))
    node.replace_all_uses_with(new)
    traced.graph.erase_node(node)


def _merges(traced: fx.GraphModule) -> list[tuple[tuple[str], str]]:
    """Return which convolution or linear layer each batch norm directly follows."""
    merges = []
    for node in traced.graph.nodes:
        before = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        if node.op != "call_module" or before is None or before.op != "call_module":
            continue
        one, other = traced.get_submodule(before.target), traced.get_submodule(node.target)
        if isinstance(other, BatchNorm) and isinstance(one, Linear) and len(before.users) == 1:
            merges.append(((before.target,), node.target))
    return merges
