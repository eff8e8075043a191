"""Integrated Gradients, through captum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from pydantic import PositiveInt

from xaibench.engine import Batch, Fill, Maps, fill_images, maps_in_batches
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
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

    steps: PositiveInt = 50
    baseline: Fill = "black"
    channels: Literal["mean_abs", "sum"] = "mean_abs"
    space: Space = "logit"

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
            relevance = maps_in_batches(model, batch, path)
        return relevance.abs().mean(1) if self.channels == "mean_abs" else relevance.sum(1)
