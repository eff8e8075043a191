"""Correlation of two numbers over draws, steps or pixels, a row an image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from xaibench.engine.batch import PerImage
from xaibench.engine.likeness import centred_ranks

_ROUNDING = 1e-5
_Rows = Float[Tensor, "batch n"]


def pearson(one: _Rows, other: _Rows) -> PerImage:
    """Return the correlation of each row of one with that of the other, in float64.

    NaN where a row of one of the two is constant: where it spreads no further than rounding in
    float32 does, 1e-5 of its largest absolute value.
    """
    return _cosine(_centred(one), _centred(other))


def spearman(one: _Rows, other: _Rows) -> PerImage:
    """Return the rank correlation of the rows, ties sharing their mean rank; NaN as ``pearson``."""
    known = _centred(one).isfinite().all(1) & _centred(other).isfinite().all(1)
    return _cosine(centred_ranks(one), centred_ranks(other)).where(known, torch.nan)


def _centred(rows: _Rows) -> Float[Tensor, "batch n"]:
    rows = rows.double()
    spread = rows.amax(1, keepdim=True) - rows.amin(1, keepdim=True)
    varies = spread > _ROUNDING * rows.abs().amax(1, keepdim=True)
    return (rows - rows.mean(1, keepdim=True)).where(varies, torch.nan)


def _cosine(one: _Rows, other: _Rows) -> PerImage:
    return (one * other).sum(1) / (one.square().sum(1) * other.square().sum(1)).sqrt()
