"""VarGrad: how far the gradient varies over noisy copies of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from xaibench.engine import Batch, Maps, Pixels, gradient_sums, over_channels
from xaibench.engine.noise import noisy_copies
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class VarGrad(Explainer):
    """Variance of the target score's gradient over copies of the image with Gaussian noise.

    ``1/n sum_k g_k^2 - (1/n sum_k g_k)^2``, g_k = g(x + sigma z_k), mean over channels; not
    negative, and without a sign of the evidence. n = ``samples``; sigma = ``noise`` (max x - min
    x), of all channels of the image; z_k standard normal, seeded by image. On a linear model it is
    0 everywhere, a constant map. captum's NoiseTunnel adds noise of standard deviation 1 to 5
    copies.
    Cost: ``samples`` forward and backward passes. Source: Adebayo et al. 2018, "Local explanation
    methods for deep neural networks lack sensitivity to parameter values"; Hooker et al. 2019, "A
    benchmark for interpretability methods in deep neural networks", section 4.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    samples: Annotated[int, Field(ge=2)] = 50
    noise: Annotated[float, Field(gt=0)] = 0.15
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.samples * len(batch)
        return PassCount(passes, passes)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        return torch.zeros_like(weights[:, 0])

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        moments = gradient_sums(
            model,
            batch.targets,
            self.samples,
            noisy_copies(batch.images, batch.seeds, self.noise),
            lambda gradients, image, copy: _moments(gradients),
            self.space,
        )
        mean, mean_square = (moments / self.samples).unbind(1)
        return over_channels((mean_square - mean.square()).clamp(min=0), "mean_abs")


def _moments(gradients: Tensor) -> Tensor:
    # In double precision: the difference of both is small where the gradient hardly varies.
    exact = gradients.double()
    return torch.stack([exact, exact.square()], dim=1)
