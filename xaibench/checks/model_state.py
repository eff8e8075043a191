"""What a plugin may not leave changed on a model or a batch; here nothing heals it."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor, nn

from xaibench.engine import Batch
from xaibench.models.base import HOOK_TABLES, Classifier

_WEIGHTS = "leaves weights and buffers as found"
_HOOKS = "leaves no hook on the model"
_MODES = "leaves training mode as found"
_WANTS = "leaves requires_grad as found"
_GRADIENTS = "leaves the weights' .grad as found"
_PARTS = "leaves modules and options of the model as found"
IMAGES = "leaves images and targets as found"
PROMISES = (_WEIGHTS, _HOOKS, _MODES, _WANTS, _GRADIENTS, _PARTS, IMAGES)


class ModelState:
    """A model as it is now; ``changes`` tells what has become of it since."""

    def __init__(self, model: Classifier) -> None:
        self._model = model
        self._tensors = {name: tensor.detach().clone() for name, tensor in _tensors(model).items()}
        self._found = self._read()

    def changes(self) -> dict[str, str]:
        """Return promise -> what was changed."""
        now, found = self._read(), {}
        tensors = _tensors(self._model)
        moved = [
            name
            for name, was in self._tensors.items()
            if name not in tensors or not _equal(was, tensors[name])
        ]
        if moved:
            found[_WEIGHTS] = f"changed: {_some(moved)}; work on a copy (copy.deepcopy(model))"
        for promise, mend in _MEND.items():
            differ = [k for k in now[promise] | self._found[promise]
                      if now[promise].get(k) != self._found[promise].get(k)]  # fmt: skip
            if differ:
                found[promise] = f"changed: {_some(differ)}; {mend}"
        return found

    def _read(self) -> dict[str, dict[str, object]]:
        modules = dict(self._model.named_modules())
        weights = dict(self._model.named_parameters())
        options = {k: v for k, v in vars(self._model).items() if isinstance(v, str | int | tuple)}
        del options["training"]
        return {
            _HOOKS: {
                f"{name or 'the model'}.{table}": tuple(getattr(module, table))
                for name, module in modules.items()
                for table in HOOK_TABLES
            },
            _MODES: {name or "the model": module.training for name, module in modules.items()},
            _WANTS: {name: weight.requires_grad for name, weight in weights.items()},
            _GRADIENTS: {
                name: None if weight.grad is None else weight.grad.tolist()
                for name, weight in weights.items()
            },
            _PARTS: options
            | {name or "the model": id(module) for name, module in modules.items()}
            | {f"{name}.forward": "forward" in vars(module) for name, module in modules.items()},
        }


_HEALED = "a run takes it away, but nobody else does"
_MEND = {
    _HOOKS: f"remove hooks in `finally` ({_HEALED})",
    _MODES: f"put it back in `finally`, or use `with model.as_found():` ({_HEALED})",
    _WANTS: f"put it back in `finally`, or use `with model.as_found():` ({_HEALED})",
    _GRADIENTS: f"take gradients by `torch.autograd.grad(score, images)` ({_HEALED})",
    _PARTS: "put it back in `finally`",
}


def batch_changes(batch: Batch, fresh: Batch) -> str | None:
    """Return what differs in a batch from one that was made in the same way."""
    for name, one, other in _batch_tensors(batch, fresh):
        if not _equal(one, other):
            return f"batch.{name} was changed in place; work on a clone"
        if one.requires_grad:
            return f"batch.{name}.requires_grad was set; ask it of a clone"
    return None


def unusual(model: Classifier) -> Classifier:
    """Return the model with a frozen weight and a gradient, which must be found there again."""
    first, *_, last = model.net.parameters()
    first.requires_grad_(False)
    last.grad = torch.full_like(last, 0.5)
    return model


def _batch_tensors(batch: Batch, fresh: Batch) -> list[tuple[str, Tensor, Tensor]]:
    names = [f.name for f in fields(Batch) if isinstance(getattr(batch, f.name), Tensor)]
    pairs = [(name, getattr(batch, name), getattr(fresh, name)) for name in names]
    return pairs + [(f"masks[{k!r}]", mask, fresh.masks[k]) for k, mask in batch.masks.items()]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _equal(one: Tensor, other: Tensor) -> bool:
    same = one.shape == other.shape and one.dtype == other.dtype and one.device == other.device
    return same and torch.equal(one, other)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3)
