"""Points on the way from 0 to 1 and their weights: rules for the integral of a path."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Rule = Literal["gausslegendre", "riemann_left", "riemann_middle", "riemann_right", "trapezoid"]
"""Rules of fixed points; see ``quadrature``."""
Points = Float[Tensor, "*batch step"]
"""In [0, 1], or the weights of such points, which sum to 1; float64."""


def quadrature(rule: Rule, steps: int) -> tuple[Points, Points]:
    """Return points in [0, 1] and their weights, on the CPU.

    Exact for polynomials: ``gausslegendre`` of degree 2 steps - 1; ``riemann_middle`` (the middles
    of equal parts) and ``trapezoid`` (both ends among its points) of degree 1; ``riemann_left`` and
    ``riemann_right`` (an end of each part) of degree 0.

    Args:
        steps: points, at least 1, of a ``trapezoid`` at least 2.
    """
    if rule == "gausslegendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return torch.from_numpy((1 + nodes) / 2), torch.from_numpy(weights / 2)
    number = torch.arange(steps, dtype=torch.float64)
    if rule == "trapezoid":
        weights = torch.full((steps,), 1 / (steps - 1), dtype=torch.float64)
        weights[[0, -1]] /= 2
        return number / (steps - 1), weights
    inside = {"riemann_left": 0.0, "riemann_middle": 0.5, "riemann_right": 1.0}[rule]
    return (number + inside) / steps, torch.full((steps,), 1 / steps, dtype=torch.float64)


def apportioned(changes: Float[Tensor, "batch part"], steps: int) -> Int[Tensor, "batch part"]:
    """Return how many of ``steps`` each part gets: one, and of the others its share of the change.

    By largest remainders, so that they sum to ``steps``; the first part of equal ones goes first.
    Where nothing changes, all parts have the same share.

    Args:
        changes: not negative, one row an image.
        steps: at least one a part.
    """
    changes, parts = changes.double(), changes.shape[1]
    total = changes.sum(1, keepdim=True)
    share = torch.where(total > 0, changes / total, 1 / parts) * (steps - parts)
    left = (steps - parts) - share.floor().sum(1, keepdim=True)
    rank = (share.floor() - share).argsort(dim=1, stable=True).argsort(dim=1)
    return 1 + share.floor().long() + (rank < left).long()


def points_by_part(counts: Int[Tensor, "batch part"], steps: int) -> tuple[Points, Points]:
    """Return the middles of equal steps within equal parts of [0, 1], and the steps' lengths.

    Args:
        counts: steps of each part; ``steps`` in each row.
    """
    number = torch.arange(steps, device=counts.device).expand(len(counts), -1).contiguous()
    ends = counts.cumsum(1)
    part = torch.searchsorted(ends, number, right=True)
    own, first = counts.gather(1, part), (ends - counts).gather(1, part)
    parts = counts.shape[1]
    return (part + (number - first + 0.5) / own.double()) / parts, 1 / (own.double() * parts)
