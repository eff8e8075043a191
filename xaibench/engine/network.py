"""The network of the engine: a copy of a model that is made for forward passes alone."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import get_args
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xaibench.engine.backends import BACKENDS
from xaibench.engine.batch import PerImage, Pixels, Targets
from xaibench.engine.folding import folded
from xaibench.errors import UserError
from xaibench.models.base import HOOK_TABLES, Classifier
from xaibench.types import BackendName, Space


class ForwardNetwork:
    """Forward passes of a model in its ``precision``, counted as the model's own.

    They run through the model's ``backend``, which is given a copy: weights lie in channels_last,
    and images are normalised before they are composed instead of after. In fp32 batch norms are
    folded into convolutions. In bf16 they and the head compute in fp32: the rounding of a logit
    would reach every probability. A model that must be seen at work (hooks on its modules, a
    forward of its own, modules in training mode) is used as it is.
    """

    def __init__(self, model: Classifier, backend: BackendName | None = None) -> None:
        self._model = weakref.proxy(model)  # which it lives as long as; see _NETWORKS
        self._net = self._copy() if plain(model) else None
        self._backend = BACKENDS[backend or model.backend]
        self._compiled = None
        if self._net:
            self._check(model)
            self._compiled = self._backend.compiled(self._net)

    @property
    def net(self) -> nn.Module | None:
        """The copy of the network; None where the model is used as it is."""
        return self._net

    def normalised(self, images: Pixels) -> Pixels:
        """Return images in [0, 1] as ``scores`` takes them."""
        if self._net is None:
            return images
        return (images - self._model.mean) / self._model.std

    def scores(self, normalised: Pixels, targets: Targets, space: Space) -> PerImage:
        """Return each target's score, float32, of images that went through ``normalised``."""
        model = self._model
        if self._net is None:
            inputs = normalised.contiguous(memory_format=torch.channels_last)
            with self._autocast(inputs.device.type):
                return model.score(inputs, targets, space).float()
        return model.read(self.logits(normalised), targets, space)

    def spaces(self, space: Space) -> tuple[Space, ...]:
        """Return the spaces that a pass for one of them gives scores in: all, read of its logits.

        That one alone where the model may have a ``score`` of its own.
        """
        return (space,) if self._net is None else get_args(Space)

    def scores_in(
        self, normalised: Pixels, targets: Targets, spaces: Sequence[Space]
    ) -> Float[Tensor, "batch space"]:
        """Return ``scores`` in each of some of ``spaces``, of one pass."""
        if self._net is None:
            (space,) = spaces
            return self.scores(normalised, targets, space)[:, None]
        logits = self.logits(normalised)
        return torch.stack([self._model.read(logits, targets, s) for s in spaces], dim=1)

    def logits(self, normalised: Pixels) -> Float[Tensor, "batch output"]:
        """Return the network's outputs, float32, of images that went through ``normalised``."""
        model = self._model
        inputs = normalised.contiguous(memory_format=torch.channels_last)
        if self._net is None:
            with self._autocast(inputs.device.type):
                return model.logits(inputs).float()
        inputs = inputs.bfloat16() if model.precision == "bf16" else inputs
        # Some are made for one shape, and the last batch may be smaller.
        full = self._backend.any_size or len(inputs) == model.batch_size
        logits = (self._compiled if full else self._net)(inputs)
        model.passes.forward += len(inputs)
        return logits.float()

    def _check(self, model: Classifier) -> None:
        """Raise UserError where the backend cannot be used; `choose_backend` has looked before."""
        lacking = self._backend.lacking(model.device.type, model.precision)
        if lacking is not None:
            raise UserError(f"engine: {self._backend.name}: {lacking}; use auto or eager")

    def _autocast(self, device_type: str) -> torch.autocast:
        bf16 = self._model.precision == "bf16"
        return torch.autocast(device_type, torch.bfloat16, enabled=bf16)

    def _copy(self) -> nn.Module:
        model = self._model
        with torch.no_grad():
            net = folded(model.net) if model.precision == "fp32" else _in_bf16(model)
            return net.requires_grad_(False).to(memory_format=torch.channels_last)


def _in_bf16(model: Classifier) -> nn.Module:
    """Return a copy in bfloat16 whose batch norms and head compute in float32.

    Not folded: a rounded bias shifts a map in every image alike, an error that adds up over a
    curve where those of activations cancel; and norms cost little beside ordinary convolutions.
    """
    net = copy.deepcopy(model.net)
    head = net.get_submodule(model.head_module) if model.head_module else nn.Identity()
    exact = set(head.modules())
    for module in net.modules():
        if module in exact or isinstance(module, nn.BatchNorm2d):
            continue
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.is_floating_point():
                tensor.data = tensor.data.bfloat16()
    head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    return net


_NETWORKS: WeakKeyDictionary[Classifier, tuple[tuple, ForwardNetwork]] = WeakKeyDictionary()


def forward_network(model: Classifier) -> ForwardNetwork:
    """Return the model's forward network; made anew when the model has changed since."""
    state = _state(model)
    if model not in _NETWORKS or _NETWORKS[model][0] != state:
        _NETWORKS[model] = (state, ForwardNetwork(model))
    return _NETWORKS[model][1]


def whole_passes(model: Classifier) -> Callable[[Pixels], Float[Tensor, "batch output"]]:
    """Return what makes logits of images in [0, 1] in fp32: the model's forward network.

    In bf16 it is the model itself, which computes in fp32: what it predicts is no matter of speed.
    """
    if model.precision != "fp32":
        return model
    network = forward_network(model)
    # A copy, as a CUDA graph writes each batch's logits to the same place.
    return lambda images: network.logits(network.normalised(images)).clone()


def keep_network(model: Classifier, network: ForwardNetwork) -> None:
    """Take a network that was made already for the model's backend as its own."""
    _NETWORKS[model] = (_state(model), network)


def _state(model: Classifier) -> tuple:
    """Return what tells that weights, modes or hooks are no longer those that were copied."""
    modules = list(model.modules())
    tables = (table for m in modules for table in (m._parameters, m._buffers))
    tensors = [(id(t), t._version) for table in tables for t in table.values() if t is not None]
    modes = [module.training for module in modules]
    return model.precision, model.backend, plain(model, modules), modes, tensors


def plain(model: Classifier, modules: Sequence[nn.Module] | None = None) -> bool:
    """Say whether nothing would be missed if a copy of the network did the passes."""
    modules = modules or list(model.modules())
    own = ("__call__", "forward", "logits", "score", "read")
    overridden = any(getattr(type(model), name) is not getattr(Classifier, name) for name in own)
    return not overridden and not any(
        m.training or "forward" in m.__dict__ or any(m.__dict__[table] for table in HOOK_TABLES)
        for m in modules
    )
