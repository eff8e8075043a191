"""What zennit's composites share: a network in the form that their rules need, and the pass."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import ClassVar
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, fx, nn
from zennit.attribution import Gradient
from zennit.canonizers import NamedMergeBatchNorm
from zennit.core import Composite
from zennit.layer import Sum
from zennit.types import Activation, BatchNorm, Linear

from xaibench.engine import Batch, Maps, maps_in_batches
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.networks.tracing import RESHAPING, traced, without_rule

_MODULES = frozenset(
    {nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.Flatten, Sum, Conv2dSame, BatchNormAct2d}
    | {nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d, nn.Identity}
    | set(Activation.__subclass__) - {nn.MultiheadAttention}
)
"""Modules that the composites have a rule for, or through which the gradient is one."""


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
        net, merge = _kept(model)
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


# Tracing takes longer than a pass, and torch.fx holds the source of whatever it has traced.
_CANONICAL: WeakKeyDictionary[Classifier, tuple[tuple, tuple]] = WeakKeyDictionary()


def _kept(model: Classifier) -> tuple[fx.GraphModule, NamedMergeBatchNorm]:
    """Return the canonical network, made anew when parts or weights of the model have changed."""
    parts = [*model.net.parameters(), *model.net.buffers()]
    state = (*map(id, model.net.modules()), *((id(t), t._version) for t in parts))
    if model not in _CANONICAL or _CANONICAL[model][0] != state:
        _CANONICAL[model] = (state, canonical(model))
    return _CANONICAL[model][1]


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
    copied = copy.deepcopy(model.net).requires_grad_(False)  # merging batch norms changes weights
    if model.head == "single_logit":
        _two_columns(copied, model.linear_head)
    net = traced(copied, addition=_SumOfTwo, whole=(BatchNormAct2d,))
    for node in list(net.graph.nodes):
        if node.op == "call_method" and node.target == "mean" and _over_space(node):
            _pool(net, node)
    net.recompile()
    if odd := without_rule(net, _MODULES, RESHAPING):
        raise UserError(f"there is no rule for {odd} of this network")
    return net, NamedMergeBatchNorm(_merges(net))


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


def _over_space(node: fx.Node) -> bool:
    dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return isinstance(dims, tuple | list) and sorted(d % 4 for d in dims) == [2, 3]


def _pool(net: fx.GraphModule, node: fx.Node) -> None:
    """Make a mean over height and width a module."""
    keep = node.kwargs.get("keepdim", node.args[2] if len(node.args) > 2 else False)
    pool = [nn.AdaptiveAvgPool2d(1), *([] if keep else [nn.Flatten()])]
    net.add_submodule(f"{node.name}_pool", nn.Sequential(*pool))
    node.op, node.target = "call_module", f"{node.name}_pool"
    node.args, node.kwargs = node.args[:1], {}


def _merges(net: fx.GraphModule) -> list[tuple[tuple[str], str]]:
    """Return which convolution or linear layer each batch norm directly follows."""
    merges = []
    for node in net.graph.nodes:
        before = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        if node.op != "call_module" or before is None or before.op != "call_module":
            continue
        one, other = net.get_submodule(before.target), net.get_submodule(node.target)
        if isinstance(other, BatchNorm) and isinstance(one, Linear) and len(before.users) == 1:
            merges.append(((before.target,), node.target))
    return merges
