"""The model that gradients are taken of: itself, or a twin with batch norms folded."""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch

from xaibench.engine.folding import folded
from xaibench.engine.model_state import model_state
from xaibench.engine.network import plain
from xaibench.models.base import Classifier

# Of each model the last twin for gradients at images (None), and the last for those at a layer.
_TWINS: WeakKeyDictionary[Classifier, dict[bool, tuple[tuple, Classifier]]] = WeakKeyDictionary()


def gradient_model(model: Classifier, layer: str | None = None) -> Classifier:
    """Return the model, or, where it asks for ``folded`` gradients, a twin that gives the same.

    The twin's network is a copy in channels_last whose batch norms have become part of the
    convolutions before them, and whose weights want no gradient; it counts the model's passes. Its
    gradients are the model's but for rounding, and where rounding turns a ReLU. It is made anew
    when the model has changed. A model that must be seen at work is its own; see ``plain``.

    Args:
        layer: whose output must stay what it is: no batch norm behind it is folded into it.
    """
    if model.gradients == "exact" or not plain(model):
        return model
    twins, state = _TWINS.setdefault(model, {}), (layer, model_state(model))
    known = twins.get(layer is None)
    if known is None or known[0] != state:
        known = twins[layer is None] = (state, _twin(model, layer))
    twin = known[1]
    twin.passes, twin.batch_size = model.passes, model.batch_size
    return twin


def _twin(model: Classifier, layer: str | None) -> Classifier:
    twin = copy.copy(model)
    with torch.no_grad():
        net = folded(model.net, layer).requires_grad_(False)
    twin._modules = {"net": net.to(memory_format=torch.channels_last)}
    return twin
