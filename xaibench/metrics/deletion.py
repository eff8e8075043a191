"""Deletion: how fast the score falls when the most relevant pixels go first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.base import RemovalMetric
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Deletion(RemovalMetric):
    """Area under the score as the most relevant pixels are replaced first; lower is better.

    At step k = 0..S, round(k / S x HW) pixels are gone, all channels together, both ends in; the
    area is the trapezoid over the true fractions. Ties go in the image's own random order, so a
    constant map scores as a random one. In [0, 1] for probabilities. ``order: lerf`` replaces the
    least relevant pixels first, in exactly the reverse order; then higher is better.
    Cost: S - 1 passes an image and map. Source: Petsiuk et al. 2018, RISE, section 4.1.
    """

    restores: ClassVar[bool] = False
