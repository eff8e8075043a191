"""Max-sensitivity: how far does a map move where the image hardly does?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt

from xaibench.engine import Batch, Maps, Pixels
from xaibench.metrics.base import ComparisonMetric, Remake, Scores
from xaibench.models.base import Classifier
from xaibench.randomness import NEIGHBOURHOOD, copy_seeds, random_uniform
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class MaxSensitivity(ComparisonMetric):
    """Largest relative change of the map over images within a small radius; lower is better.

    max over ``samples`` images y of ||R(y) - R(x)|| / ||R(x)||, Euclidean norms over the pixels,
    with y = x + noise, uniform on [-radius, radius] in every pixel and channel, cut to [0, 1] where
    images are. Maps are made anew for the same targets; superpixels that a batch brings and what is
    random in an explainer stay those of the image. From 0 without an upper end; a map that knows
    nothing of the image scores 0, so read it beside faithfulness. Undefined where the map is 0
    everywhere, or one of the others could not be made.

    The paper's definition is without the division, so that a map's unit decides;
    captum.metrics.sensitivity_max and Quantus divide, the former by 1 where the map is 0. Their
    radii (0.02 and 0.2, of 10 and 200 images) are in the unit of the images that they are given,
    normalised ones as a rule, and they do not cut.
    Cost: ``samples`` more maps an image, counted under scoring. Source: Yeh et al. 2019, "On the
    (in)fidelity and sensitivity of explanations", definition 3.1.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    radius: Annotated[float, Field(gt=0, le=1)] = 0.02
    samples: PositiveInt = 10

    def maps_anew(self) -> int:
        return self.samples

    def compare(
        self,
        model: Classifier,
        others: Mapping[str, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        own = maps.double().flatten(1)
        farthest = own.new_zeros(len(own))
        for number in range(self.samples):
            moved = remake(model, replace(batch, images=self._near(batch, number)))
            # NaN goes through a maximum: fewer maps would be another number.
            farthest = farthest.maximum((moved.double().flatten(1) - own).norm(dim=1))
        size = own.norm(dim=1)
        values = (farthest / size).where(size > 0, torch.nan)
        undefined = "the map is 0 everywhere, or one near it could not be made"
        return Scores({self.name: values}, undefined={self.name: undefined})

    def _near(self, batch: Batch, number: int) -> Pixels:
        images = batch.images
        seeds = copy_seeds(batch.seeds, torch.full_like(batch.seeds, number))
        uniform = random_uniform(seeds, images[0].numel(), NEIGHBOURHOOD).view_as(images)
        return (images + self.radius * (2 * uniform - 1)).clamp(0, 1).to(images.dtype)
