"""shap's PermutationExplainer on superpixels: Shapley values by random orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Fill, Maps, Pixels
from xaibench.explainers.shap.base import (
    ShapExplainer,
    by_segment,
    package,
    segment_count,
    segment_game,
    segment_shares,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class Permutation(ShapExplainer):
    """Shapley values of superpixels from random orders and their reverses, by shap; signed.

    shap's PermutationExplainer on the run's SLIC superpixels: each of ``permutations`` orders shows
    the segments one after the other, and then in the reverse order; a segment's value is its mean
    change of the score. Values of an image sum to score(x) - score(fill). 10 orders are the
    package's default and ours. Hidden segments are the ``fill``.
    Cost: 2 K + 1 forward passes an order, K the image's number of segments. Source: Castro et al.
    2009, "Polynomial calculation of the Shapley value based on sampling"; the shap package.
    """

    permutations: PositiveInt = 10
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        segments = int((batch.segments.flatten(1).amax(1) + 1).sum())
        return PassCount(self.permutations * (2 * segments + len(batch)), 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        return segment_shares(weights, batch, self.fill)

    def explain(self, model: Classifier, one: Batch) -> Float[Tensor, "height width"]:
        count = segment_count(one)
        peer = package.PermutationExplainer(
            segment_game(model, one, self.fill, self.space),
            package.maskers.Independent(np.zeros((1, count))),
            seed=int(one.seeds[0]) % 2**32,
        )
        evals = self.permutations * (2 * count + 1)
        explained = peer(np.ones((1, count)), max_evals=evals, silent=True)
        return by_segment(one, explained.values[0])
