"""Pixel flipping of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import Shape, StepMetric
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class PixelFlipping(StepMetric):
    """Quantus: area under the score as features fall in the map's order; lower is better.

    The area is the trapezoid with unit steps, without the unperturbed image: it grows with the
    number of steps, so compare values of one ``features_in_step`` and image size only. In [0,
    steps - 1] for probabilities. ``deletion`` is the same over true fractions of pixels, all
    channels together, ties in random order. Known faults of Quantus 0.6: a map of one channel
    is flipped channel by channel, ties in the order in which its sorting leaves them; its area
    needs a numpy with ``trapz`` (before 2.4), which is stood in for.
    Undefined where Quantus refuses the map.
    Cost: a pass a step. Source: Bach et al. 2015, "On pixel-wise explanations for non-linear
    classifier decisions by layer-wise relevance propagation", as ``PixelFlipping`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def metric(self, shape: Shape) -> quantus.PixelFlipping:
        return quantus.PixelFlipping(**self.asked(shape), return_auc_per_sample=True)

    def passes(self, shape: Shape) -> int:
        return self.steps(shape)
