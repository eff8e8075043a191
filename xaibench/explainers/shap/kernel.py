"""shap's KernelExplainer on superpixels: Shapley values by weighted regression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field
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
class Kernel(ShapExplainer):
    """Shapley values of superpixels by shap's KernelExplainer; signed.

    The package's weighted regression of the score on which of the run's SLIC superpixels are shown,
    over ``samples`` coalitions (small and large ones first, the rest drawn), all of them where they
    are fewer; no selection of features (the package's default keeps 10). Values of an image sum to
    score(x) - score(fill). Hidden segments are the ``fill``. The package takes 2 K + 2048 samples,
    K the number of segments; of fewer than K it takes the least of all solutions.
    Cost: ``samples`` forward passes and two more, at most 2^K. Source: Lundberg and Lee 2017, "A
    unified approach to interpreting model predictions", theorem 2; the shap package.
    """

    samples: Annotated[int, Field(ge=2)] = 1000
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def cost(self, model: Classifier, batch: Batch) -> PassCount | None:
        passes = 0
        for segments in (batch.segments.flatten(1).amax(1) + 1).tolist():
            coalitions = 2**segments - 2
            if self.samples < coalitions < 4 * self.samples:  # some are drawn twice
                return None
            passes += min(self.samples, coalitions) + 2
        return PassCount(passes, 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps | None:
        segments = int(batch.segments.max()) + 1
        enough = self.samples >= 4 * segments
        return segment_shares(weights, batch, self.fill) if enough else None

    def explain(self, model: Classifier, one: Batch) -> Float[Tensor, "height width"]:
        count = segment_count(one)
        game = segment_game(model, one, self.fill, self.space)
        peer = package.KernelExplainer(game, np.zeros((1, count)), silent=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a regression that has many solutions
            values = peer.shap_values(
                np.ones((1, count)), nsamples=self.samples, l1_reg=False, silent=True
            )
        return by_segment(one, values[0])
