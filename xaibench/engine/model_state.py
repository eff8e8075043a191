"""What tells that a model is no longer what it was when something was made of it."""

from __future__ import annotations

from xaibench.models.base import HOOK_TABLES, Classifier


def model_state(model: Classifier) -> tuple:
    """Return what is another as soon as weights, modes or hooks are."""
    modules = list(model.modules())
    tables = (table for m in modules for table in (m._parameters, m._buffers))
    tensors = tuple(
        (id(t), t._version) for table in tables for t in table.values() if t is not None
    )
    hooks = tuple(id(hook) for m in modules for t in HOOK_TABLES for hook in getattr(m, t).values())
    return tensors, tuple(module.training for module in modules), hooks
