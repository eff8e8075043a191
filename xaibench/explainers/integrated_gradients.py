"""Integrated Gradients, through captum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from pydantic import PositiveInt

from xaibench.engine import (
    Batch,
    Channels,
    Fill,
    Maps,
    Pixels,
    fill_images,
    maps_in_batches,
    over_channels,
)
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """Gradient along the straight path from the baseline, times the difference from it.

    ``channels`` makes one number of a pixel's channels: ``mean_abs`` (not negative), or ``sum``
    (signed; sums over the image to score(x) - score(baseline)). The path is integrated by
    Gauss-Legendre quadrature with ``steps`` points.
    Cost: ``steps`` forward and backward passes. Source: Sundararajan et al. 2017, equation 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    steps: PositiveInt = 50
    baseline: Fill = "black"
    channels: Channels = "mean_abs"
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.steps * len(batch)
        return PassCount(passes, passes)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        change = batch.images - fill_images(batch, self.baseline)
        return over_channels(change * weights, self.channels)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        captum = CaptumIntegratedGradients(
            lambda images, targets: model.score(images, targets, self.space)
        )
        path = lambda part: captum.attribute(
            part.images,
            baselines=fill_images(part, self.baseline),
            additional_forward_args=(part.targets,),
            n_steps=self.steps,
            internal_batch_size=model.batch_size,
        )
        with model.as_found():
            model.requires_grad_(False)  # the gradient is wanted at the image, not at the weights
            return over_channels(maps_in_batches(model, batch, path), self.channels)
