"""ROAD of Quantus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from xaibench.engine import Batch, Maps
from xaibench.metrics.base import Scores
from xaibench.metrics.quantus.base import QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, REFUSED, quantus
from xaibench.models.base import Classifier
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Road(QuantusMetric):
    """Quantus: share of levels at which the prediction outlives imputation; lower is better.

    At each of ``percentages`` that many of the most relevant pixels are replaced by the noisy
    linear imputation of ROAD; the value is the mean over levels of whether the target is still
    predicted. In [0, 1]; 0 throughout where the target is not what the model predicts.
    ``percentages`` are 10, 20, ... 90 (Quantus: 1, 3, ... 99, each a sparse system to be
    solved). Known fault of Quantus 0.6: images of several channels raise an error, so that
    there is no value for them; ``road`` takes all.
    Undefined where Quantus refuses the map, and for images of several channels.
    Cost: a pass a level. Source: Rong et al. 2022, "A consistent and efficient evaluation
    strategy for attribution methods", as ``ROAD`` of Quantus.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[str] = f"{REFUSED}; its ROAD takes images of one channel only"

    expected: ClassVar[dict[str, str]] = {
        "depends on the map": "Quantus 0.6 has no value for images of several channels"
    }

    percentages: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (
        10,
        20,
        30,
        40,
        50,
        60,
        70,
        80,
        90,
    )
    noise: Annotated[float, Field(ge=0)] = 0.01
    abs: bool = False

    def metric(self, shape: Shape) -> quantus.ROAD:
        own = {"percentages": list(self.percentages), "noise": self.noise, "abs": self.abs}
        return quantus.ROAD(**QUIET, **own)

    def passes(self, shape: Shape) -> int:
        return len(self.percentages) if shape[0] == 1 else 0

    def number(self, found: dict[int, float]) -> float:
        return float(np.mean(list(found.values())))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        if batch.images.shape[1] == 1:
            return super().score(model, batch, maps)
        nothing = maps.new_full((len(maps),), torch.nan, dtype=torch.float64)
        return Scores({self.name: nothing}, undefined={self.name: self.undefined})
