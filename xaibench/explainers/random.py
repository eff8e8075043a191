"""Uniform noise: the floor that every explainer must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench.engine import Batch, Maps
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import NOISE, random_uniform
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Random(Explainer):
    """Control: uniform noise on [0, 1), seeded by image. No passes.

    The floor that all others are compared with must not hang on one throw: a score of an image is
    the mean over ``draws`` independent maps. The map that is kept and drawn is the first.
    """

    control: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ()
    draws: Annotated[int, Field(ge=1)] = 5

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        height, width = batch.images.shape[2:]
        noise = random_uniform(batch.seeds, height * width, NOISE)
        return noise.view(len(batch), height, width).float()
