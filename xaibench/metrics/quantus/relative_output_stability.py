"""Relative output stability of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.quantus.base import RelativeStabilityMetric
from xaibench.metrics.quantus.library import quantus
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RelativeOutputStability(RelativeStabilityMetric):
    """Quantus: largest relative change of the map by the change of the output.

    Lower is better; in [0, inf). Over ``nr_samples`` copies (10; Quantus: 200) with uniform
    noise in [``lower_bound``, ``upper_bound``] (0.02 and 0.2), cut to [0, 1]; changes are
    relative pixel by pixel, so that pixels of small relevance count most. The outputs are the
    columns of probabilities (Quantus: of what the model gives).
    Undefined where the prediction of a copy is another one, or Quantus refuses a map: the
    image's, or one of a copy's.
    Cost: ``nr_samples`` more maps and some passes an image. Source: Agarwal et al. 2022,
    "Rethinking stability for attribution-based explanations", as ``RelativeOutputStability`` of
    Quantus.
    """

    library: ClassVar[type[quantus.RelativeOutputStability]] = quantus.RelativeOutputStability
