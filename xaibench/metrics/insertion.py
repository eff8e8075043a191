"""Insertion: how fast the score rises when the most relevant pixels come back first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Fill
from xaibench.metrics.base import RemovalMetric
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Insertion(RemovalMetric):
    """Area under the score as the most relevant pixels are restored; higher is better.

    Starts from the fill (the blurred image) and restores pixels in the order in which deletion
    removes them; otherwise as deletion. ``order: lerf`` restores the least relevant pixels first;
    then lower is better.
    Cost: S - 1 passes an image and map. Source: Petsiuk et al. 2018, RISE, section 4.1.
    """

    restores: ClassVar[bool] = True

    fill: Fill = "blur"
