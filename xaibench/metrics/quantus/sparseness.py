"""Sparseness of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Sparseness(QuantusMetric):
    """Quantus: Gini index of the absolute relevance; higher is sparser.

    In [0, 1]. Known fault of Quantus 0.6: 1e-7 is added to every value over the map's largest
    one, which lowers the index of very sparse maps; ``sparseness`` does without.
    Undefined where Quantus refuses the map.
    Cost: 0 passes. Source: Chalasani et al. 2020, "Concise explanations of neural networks
    using adversarial training", as ``Sparseness`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def metric(self, shape: Shape) -> quantus.Sparseness:
        return quantus.Sparseness(**QUIET)
