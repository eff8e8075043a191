"""Batch normalisation folded into the convolution before it, on a copy of the network."""

from __future__ import annotations

import copy
import warnings
from collections import Counter

from timm.layers import BatchNormAct2d
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


class _Tracer(fx.Tracer):
    """Goes into every module that holds a convolution; the others are steps of the graph."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d) or not any(isinstance(x, nn.Conv2d) for x in m.modules())


def graph_of(net: nn.Module) -> fx.Graph | None:
    """Return the network's data flow; None where its forward depends on the values it sees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _Tracer().trace(net)
        except Exception:  # fx raises whatever the network's own code raises on a stand-in
            return None


def folded(net: nn.Module, layer: str | None = None) -> nn.Module:
    """Return a copy whose batch norms have become part of the convolutions before them.

    Exact but for rounding: w' = w g / sqrt(v + eps), b' = (b - m) g / sqrt(v + eps) + beta. Folded
    is a batch norm in evaluation mode that alone reads a convolution, each of them used once;
    all else stays as it is, and so does the network whose data flow cannot be read.

    Args:
        layer: of whose output nothing may change: no batch norm outside it is folded into it.
    """
    net = copy.deepcopy(net)
    graph = graph_of(net)
    if graph is None:
        return net
    modules = dict(net.named_modules())
    calls = [node for node in graph.nodes if node.op == "call_module"]
    used = Counter(node.target for node in calls)
    for node in calls:
        norm, before = modules[node.target], node.args[0]
        if not _foldable(norm) or not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        conv = modules[before.target]
        alone = len(before.users) == 1 and used[node.target] == used[before.target] == 1
        kept = layer is None or _keeps(layer, before.target, node.target)
        if alone and isinstance(conv, nn.Conv2d) and kept:
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
                norm.weight, norm.bias,
            )  # fmt: skip
            net.set_submodule(node.target, _what_is_left(norm))
    return net


def _keeps(layer: str, conv: str, norm: str) -> bool:
    """Say whether a layer gives the same, and is still there, when a norm is folded."""
    within = lambda name, outer: f"{name}.".startswith(f"{outer}.")
    across = within(conv, layer) and not within(norm, layer)
    return not across and (layer == norm or not within(layer, norm))


def _foldable(module: nn.Module) -> bool:
    plain = type(module) in (nn.BatchNorm2d, BatchNormAct2d)
    return plain and not module.training and module.running_mean is not None


def _what_is_left(norm: nn.BatchNorm2d) -> nn.Module:
    return nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
