"""A Gaussian in the middle: what an explainer gets for pointing where objects usually are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from xaibench.engine import Batch, Maps
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class CenterPrior(Explainer):
    """Control: a Gaussian centred in the image, the same for every image. No passes.

    ``exp(-r^2 / (2 (sigma s)^2))``, r the distance from the centre and s the shorter side.
    """

    control: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ()
    sigma: Annotated[float, Field(gt=0)] = 0.25

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        height, width = batch.images.shape[2:]
        y = torch.arange(height, device=model.device) - (height - 1) / 2
        x = torch.arange(width, device=model.device) - (width - 1) / 2
        spread = self.sigma * min(height, width)
        prior = torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * spread**2))
        return prior.expand(len(batch), -1, -1)
