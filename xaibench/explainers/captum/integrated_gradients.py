"""Integrated Gradients with captum's own choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captum.attr import IntegratedGradients as Peer
from pydantic import PositiveInt

from xaibench.engine import Batch, Fill, Pixels, fill_images
from xaibench.explainers.captum.base import (
    Attributions,
    PixelAttribution,
    inputs,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class IntegratedGradients(PixelAttribution):
    """Gradient along the straight path from the baseline, times the difference from it, signed.

    ``steps``, ``method`` (the quadrature) and a black ``baseline`` are captum's defaults;
    ``channels`` (``sum``, ``mean_abs``, ``max_abs``) is ours, captum leaves them apart.
    ``integrated_gradients`` is the same with other defaults.
    Cost: ``steps`` forward and backward passes. Source: Sundararajan et al. 2017, "Axiomatic
    attribution for deep networks", equation 1.
    """

    steps: PositiveInt = 50
    method: Literal[
        "gausslegendre", "riemann_right", "riemann_left", "riemann_middle", "riemann_trapezoid"
    ] = "gausslegendre"
    baseline: Fill = "black"
    space: Space = "logit"
    needs = ("gradients",)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.steps * len(batch), self.steps * len(batch))

    def linear(self, weights: Pixels, batch: Batch) -> Pixels:
        return weights * (batch.images - fill_images(batch, self.baseline))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        return Peer(score_function(model, self.space)).attribute(
            inputs(batch),
            baselines=fill_images(batch, self.baseline),
            additional_forward_args=(batch.targets,),
            n_steps=self.steps,
            method=self.method,
            internal_batch_size=model.batch_size,
        )
