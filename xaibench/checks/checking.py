"""Checks that plugins of every kind share, and how one is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xaibench.checks.stage import Stage
from xaibench.engine import Batch
from xaibench.models.base import Classifier

TOLERANCE = 1e-5
"""Largest difference between a batch and its images one by one, relative to the largest value."""


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, and why it failed (None where it passed)."""

    name: str
    why: str | None

    @property
    def passed(self) -> bool:
        return self.why is None


def check(name: str, check: Callable[..., str | None], *arguments: object) -> CheckResult:
    try:
        return CheckResult(name, check(*arguments))
    except Exception as error:
        return CheckResult(name, f"{type(error).__name__}: {error}")


def well_made(plugin: object) -> str | None:
    cls = type(plugin)
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:
        return f"{cls.__name__} must be marked @dataclass(frozen=True)"
    if not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}("):
        return f"{cls.__name__} needs a docstring; its first line is what `xaibench list` shows"
    return None


def invariant(function: Callable[[Batch], Tensor], batch: Batch) -> str | None:
    whole = function(batch.take(range(len(batch))))
    single = torch.cat([function(batch.take([i])) for i in range(len(batch))])
    order = list(reversed(range(len(batch))))
    permuted = function(batch.take(order))
    for name, other in {"one by one": single, "permuted": permuted[order]}.items():
        if (found := gap(whole, other)) > TOLERANCE:
            return f"whole batch and {name} differ by {found:.2g} of the largest value"
    return None


def gap(one: Tensor, other: Tensor) -> float:
    if not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    scale = one.nan_to_num().abs().max().clamp_min(1e-12)
    return float((one - other).nan_to_num().abs().max() / scale)


def as_found(act: Callable[[Classifier, Batch, Tensor], object], stage: Stage) -> str | None:
    """Say what an act changed of a fresh model, batch or maps."""
    model, batch, maps = stage.model(), stage.batch(), stage.maps()
    act(model, batch, maps)
    fresh = stage.model()
    if not torch.equal(batch.images, stage.batch().images) or batch.images.requires_grad:
        return "the images were changed"
    if not torch.equal(maps, stage.maps()):
        return "the maps were changed"
    state = fresh.state_dict()
    if any(not torch.equal(v, state[k]) for k, v in model.state_dict().items()):
        return "weights or buffers were changed"
    if any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return "hooks were left on the model"
    modes = [[m.training for m in one.modules()] for one in (model, fresh)]
    wants = [[p.requires_grad for p in one.parameters()] for one in (model, fresh)]
    if modes[0] != modes[1] or wants[0] != wants[1]:
        return "training mode or requires_grad was changed"
    return None
