"""Uniform noise: the floor that every explainer must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Maps
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
from xaibench.randomness import NOISE, random_uniform
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Random(Explainer):
    """Control: uniform noise on [0, 1), seeded by image. No passes."""

    control: ClassVar[bool] = True

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        height, width = batch.images.shape[2:]
        noise = random_uniform(batch.seeds, height * width, NOISE)
        return noise.view(len(batch), height, width).float()
