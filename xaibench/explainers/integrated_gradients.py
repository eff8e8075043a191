"""Integrated Gradients, with a choice of where the gradients are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import PositiveInt

from xaibench.engine import (
    Batch,
    Channels,
    Fill,
    Maps,
    Pixels,
    Rule,
    apportioned,
    fill_images,
    gradient_sums,
    over_channels,
    points_by_part,
    quadrature,
    scores_between,
)
from xaibench.engine.quadrature import Points
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """Gradient along the straight path from the baseline, times the difference from it.

    ``channels`` makes one number of a pixel's channels: ``mean_abs`` (not negative), or ``sum``
    (signed; sums over the image to score(x) - score(baseline), from which the metric
    ``completeness`` measures the distance). ``rule`` says at which ``steps`` points of the path
    the gradient is taken: those of Gauss-Legendre quadrature, of a Riemann sum, of the trapezoid
    rule, or ``by_change``: more where the score changes most. For it the score at the ends of
    ``parts`` equal parts of the path is asked for first; each part has one step, and of the other
    steps its share of the sum of |changes|; in a part the points are the middles of equal steps.
    Cost: ``steps`` forward and backward passes; ``by_change`` also ``parts`` + 1 forward ones.
    Source: Sundararajan et al. 2017, equation 1; ``by_change`` after Bhat and Raychowdhury 2023,
    "Non-uniform interpolation in integrated gradients for low-latency explainable-AI".
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    steps: PositiveInt = 50
    baseline: Fill = "black"
    channels: Channels = "mean_abs"
    space: Space = "logit"
    rule: Rule | Literal["by_change"] = "gausslegendre"
    parts: PositiveInt = 8

    def validate(self) -> None:
        least = {"trapezoid": 2, "by_change": self.parts}.get(self.rule, 1)
        if self.steps < least:
            raise UserError(
                f"integrated_gradients: steps is {self.steps}, and rule {self.rule} takes at least "
                f"{least}; raise steps" + (" or lower parts" if self.rule == "by_change" else "")
            )

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        before = self.parts + 1 if self.rule == "by_change" else 0
        return PassCount((self.steps + before) * len(batch), self.steps * len(batch))

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        change = batch.images - fill_images(batch, self.baseline)
        return over_channels(change * weights, self.channels)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        images, begin = batch.images, fill_images(batch, self.baseline)
        along, weights = (
            points.to(images.dtype)[..., None, None, None]
            for points in self._points(model, batch, begin)
        )
        total = gradient_sums(
            model,
            batch.targets,
            self.steps,
            lambda image, step: torch.lerp(begin[image], images[image], along[image, step]),
            lambda gradients, image, step: gradients * weights[image, step],
            self.space,
        )
        return over_channels(total * (images - begin), self.channels)

    def _points(self, model: Classifier, batch: Batch, begin: Pixels) -> tuple[Points, Points]:
        """Return the points of each image's path, and their weights."""
        device = batch.images.device
        if self.rule != "by_change":
            fixed = quadrature(self.rule, self.steps)
            return tuple(
                each.to(device, non_blocking=True).expand(len(batch), -1) for each in fixed
            )
        ends = torch.linspace(0, 1, self.parts + 1, device=device)
        scores = scores_between(model, begin, batch.images, batch.targets, ends, self.space)
        counts = apportioned(scores.diff(dim=1).abs(), self.steps)
        return points_by_part(counts, self.steps)
