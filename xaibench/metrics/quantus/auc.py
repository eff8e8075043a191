"""AUC of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import MaskMetric
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Auc(MaskMetric):
    """Quantus: area under the ROC curve of the map against the mask, by pixels; higher is better.

    In [0, 1]; 0.5 for a map that says nothing. ``auc_localisation`` is the same, on the device.
    Undefined where the mask is empty or the whole image, or Quantus refuses the map.
    Cost: 0 passes. Source: Fawcett 2006, "An introduction to ROC analysis", as ``AUC`` of
    Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    abs: bool = False

    def metric(self, size: tuple[int, int]) -> quantus.AUC:
        return quantus.AUC(**QUIET, abs=self.abs)
