"""Occlusion probes: how far the score falls where a fixed part of the image is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveInt

from xaibench.engine import Batch, Fill, SharedMasks, block_scores, unmasked_score
from xaibench.errors import UserError
from xaibench.imaging.regions import probe_mask, probe_names
from xaibench.metrics.base import ImageMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Precision, Space


@register("metric")
@dataclass(frozen=True)
class OcclusionProbe(ImageMetric):
    """Drop of the target's score where a quadrant, the centre or the border is hidden.

    drop = score(x) - score(x with the part hidden), once for each image and part:
    ``@quadrant_top_left`` and the other three; ``@square_10px`` and ``@square_0.25``, centred
    squares by pixels and by fraction of the shorter side; ``@ring_0.1``, a ring of that fraction
    along the border, the centre kept. A large drop of a ring says that the model looks where the
    organ is not. In [-1, 1] for probabilities. Of the explained target: ``target: label`` makes it
    the drop of the true class. Needs no map.
    Cost: one pass a part.
    """

    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    quadrants: bool = True
    squares: tuple[PositiveInt, ...] = ()
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.25, 0.5)
    rings: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = (0.1,)
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def validate(self) -> None:
        names = self._probes()
        if not names:
            raise UserError("hides nothing; name quadrants, squares, fractions or rings")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise UserError(f"has the probe {twice} twice; name each size once")

    def check(self, size: tuple[int, int]) -> None:
        shorter = min(size)
        if self.squares and max(self.squares) > shorter:
            raise UserError(
                f"squares: {max(self.squares)} pixels are more than images of "
                f"{size[0]} x {size[1]} have; at most {shorter}"
            )
        for ring in self.rings:
            if probe_mask(f"ring_{ring}", *size).all():
                raise UserError(
                    f"rings: a ring of {ring} keeps nothing of images of {size[0]} x {size[1]}; "
                    "make it narrower"
                )

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return [f"{self.name}@{probe}" for probe in self._probes()]

    def protocol(self, value_name: str, segments: str, precision: Precision = "fp32") -> str:
        # Without the list of probes: none of them depends on which others there are.
        passes = "" if precision == "fp32" else f",precision={precision}"
        return f"{value_name}[fill={self.fill}{passes},score={self.space}]"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(self._probes()) * len(batch))

    def score_images(self, model: Classifier, batch: Batch) -> Scores:
        size = batch.images.shape[2:]
        probes = self._probes()
        pixels = torch.from_numpy(np.stack([probe_mask(name, *size) for name in probes]))
        counts = torch.full_like(batch.targets, len(probes))
        masks = SharedMasks(pixels.to(batch.images.device), counts)
        hidden = block_scores(model, batch, masks, self.fill, self.space)
        drops = unmasked_score(model, batch, self.space)[:, None] - hidden
        return Scores(dict(zip(self.value_names(()), drops.T, strict=True)))

    def _probes(self) -> list[str]:
        return probe_names(self.quadrants, self.squares, self.fractions, self.rings)
