"""How alike two answers of a plugin must be, and how it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from xaibench.engine import Batch

TOLERANCE = 1e-5
"""Largest difference between a batch and its images one by one, relative to the largest value."""


def well_made(plugin: object) -> str | None:
    cls = type(plugin)
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:
        return f"{cls.__name__} must be marked @dataclass(frozen=True)"
    if not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}("):
        return f"{cls.__name__} needs a docstring; its first line is what `xaibench list` shows"
    plugin.validate()
    return None


def invariant(function: Callable[[Batch], Tensor], batch: Batch, whole: Tensor) -> str | None:
    """Say where a batch's answer is not that of its images one by one, or in another order."""
    single = torch.cat([function(batch.take([i])) for i in range(len(batch))])
    if (found := gap(whole, single)) > TOLERANCE:
        return _differ("one by one", found)
    order = list(reversed(range(len(batch))))
    permuted = torch.empty_like(whole)
    permuted[order] = function(batch.take(order))
    if (found := gap(whole, permuted)) > TOLERANCE:
        return _differ("permuted", found)
    return None


def _differ(how: str, found: float) -> str:
    return (
        f"whole batch and {how} differ by {found:.2g} of the largest value, allowed {TOLERANCE:g}; "
        "an image's answer must not depend on its neighbours"
    )


def gap(one: Tensor, other: Tensor) -> float:
    """Return the largest difference, relative to the largest value of the first."""
    if one.shape != other.shape or not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    finite = one.isfinite() & other.isfinite()
    if not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = one[finite].abs().max().clamp_min(1e-12)
    return float((one[finite] - other[finite]).abs().max() / scale)
