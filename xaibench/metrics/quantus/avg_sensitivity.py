"""Average sensitivity of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import SensitivityMetric
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class AvgSensitivity(SensitivityMetric):
    """Quantus: mean relative change of the map under noise on the image; lower is better.

    The mean of |map(x + noise) - map(x)| / |map(x)|, Euclidean norms, over ``nr_samples``
    copies (10; Quantus: 200) with uniform noise in [-``lower_bound``, ``lower_bound``] (0.2),
    cut to [0, 1]. In [0, inf).
    Undefined where Quantus refuses a map: the image's, or one of a copy's.
    Cost: ``nr_samples`` more maps an image. Source: Yeh et al. 2019, "On the (in)fidelity and
    sensitivity of explanations", as ``AvgSensitivity`` of Quantus.
    """

    library: ClassVar[type[quantus.AvgSensitivity]] = quantus.AvgSensitivity
