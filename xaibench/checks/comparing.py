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
    allowed = _allowed(whole)
    single = torch.cat([function(batch.take([i])) for i in range(len(batch))])
    if (found := gap(whole, single)) > allowed:
        return _differ("one by one", found, allowed)
    order = list(reversed(range(len(batch))))
    permuted = torch.empty_like(whole)
    permuted[order] = function(batch.take(order))
    if (found := gap(whole, permuted)) > allowed:
        return _differ("permuted", found, allowed)
    return None


def _allowed(whole: Tensor) -> float:
    # Maps are often differences of two probabilities, each rounded to single precision: where the
    # largest difference is small, one rounding is more than TOLERANCE of it.
    largest = whole.nan_to_num(0, 0, 0).abs().max().clamp_min(1e-12)
    return max(TOLERANCE, min(float(torch.finfo(torch.float32).eps / largest), 1e-4))


def _differ(how: str, found: float, allowed: float) -> str:
    return (
        f"whole batch and {how} differ by {found:.2g} of the largest value, allowed {allowed:.2g}; "
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
