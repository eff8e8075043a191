"""Sparseness: on how few pixels does the relevance lie?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xaibench.engine import Batch, Maps
from xaibench.metrics.base import MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Sparseness(MapMetric):
    """Gini index of the absolute relevance; higher is sparser.

    G = sum_i (2 i - n - 1) v_(i) / (n sum_i v_i) over the n pixels, v_(1) <= ... <= v_(n) the
    sorted absolute values. 0 where all are equal, 1 - 1/n where one pixel holds everything; in
    [0, 1]. It says nothing of where the relevance lies, so an explainer is not better for it
    alone. Undefined where the map is zero everywhere. Quantus adds 1e-7 to each value over the
    map's largest one, by which its Gini index of very sparse maps is smaller.
    Cost: 0 passes. Source: Chalasani et al. 2020, "Concise explanations of neural networks using
    adversarial training"; the index of Hurley and Rickard 2009, "Comparing measures of sparsity".
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"relevance": "absolute"}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        size = maps.double().abs().flatten(1).sort(dim=1).values
        n = size.shape[1]
        weights = 2 * torch.arange(1, n + 1, device=maps.device, dtype=torch.float64) - n - 1
        values = (weights * size).sum(1) / (n * size.sum(1))
        return Scores({self.name: values}, undefined={self.name: "all relevance is zero"})
