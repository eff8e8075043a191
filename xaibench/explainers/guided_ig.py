"""Guided Integrated Gradients: a path that moves the pixels of least gradient first."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor

from xaibench.engine import (
    Batch,
    Channels,
    Fill,
    Maps,
    Pixels,
    fill_images,
    gradient_sums,
    over_channels,
)
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space

Values = Float[Tensor, "batch value"]
"""One number for each channel of each pixel."""


@register("explainer")
@dataclass(frozen=True)
class GuidedIg(Explainer):
    """Integrated Gradients along a path that changes the values of least gradient first.

    From the baseline, each of ``steps`` steps takes the same share of the L1 distance to the
    image: the ``fraction`` of values (a pixel's channel) whose gradient is smallest goes first, as
    far as the step allows, then the next. ``max_dist``: how far a value may be ahead of or behind
    the straight path, as a share of its own way; 0 is Integrated Gradients, 1 no bound. The map is
    the sum of gradient times change. ``channels`` makes one number of a pixel's channels:
    ``mean_abs`` (not negative), or ``sum`` (signed; sums over the image to score(x) -
    score(baseline), but for the size of the steps). Gradients are taken in double precision: the
    path follows their order, which rounding would change with the batch. Defaults are the
    authors' library's, but for its 200 steps.
    Cost: ``steps`` forward and backward passes. Source: Kapishnikov et al. 2021, "Guided Integrated
    Gradients: an adaptive path method for removing noise", algorithm 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    steps: PositiveInt = 50
    fraction: Annotated[float, Field(ge=0.01, le=1)] = 0.25
    max_dist: Annotated[float, Field(ge=0, le=1)] = 0.02
    baseline: Fill = "black"
    channels: Channels = "mean_abs"
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.steps * len(batch)
        return PassCount(passes, passes)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        return over_channels(
            (batch.images - fill_images(batch, self.baseline)) * weights, self.channels
        )

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        exact = copy.deepcopy(model).double()
        exact.passes = model.passes
        begin = fill_images(batch, self.baseline).double()
        way = (batch.images.double() - begin).flatten(1)
        total, done = torch.zeros_like(way), torch.zeros_like(way)
        for step in range(1, self.steps + 1):
            at = begin + (way * done).view_as(begin)
            gradients = gradient_sums(
                exact,
                batch.targets,
                1,
                lambda image, _, at=at: at[image],
                lambda gradients, image, _: gradients,
                self.space,
            ).flatten(1)
            further = self._step(done, way.abs(), gradients.abs(), step / self.steps)
            total += gradients * way * (further - done)
            done = further
        return over_channels(total.view_as(begin), self.channels)

    def _step(self, done: Values, length: Values, size: Values, along: float) -> Values:
        """Return how much of its way each value has done after a step, in [0, 1].

        Args:
            done: before the step.
            length: of each value's way.
            size: of the gradient.
            along: the share of the whole L1 distance that is done after the step.
        """
        first, last = max(along - self.max_dist, 0.0), min(along + self.max_dist, 1.0)
        done = done.clamp(min=first)
        missing = along * length.sum(1) - (length * done).sum(1)
        free = (done < last) & (length > 0)
        at_once = math.floor(self.fraction * (length.shape[1] - 1)) + 1
        for _ in range(-(-length.shape[1] // at_once)):
            ranked = size.masked_fill(~free, math.inf)
            smallest = ranked.kthvalue(at_once, dim=1, keepdim=True).values
            chosen = free & (ranked <= smallest)
            reach = (length * (last - done) * chosen).sum(1)
            share = torch.where(reach > 0, missing / reach, 0.0).clamp(0, 1)
            moved = done + share[:, None] * (last - done)
            moved = torch.where(share[:, None] < 1, moved, last)
            done = torch.where(chosen, moved, done)
            missing = missing - share * reach
            free = free & ~chosen
        return done
