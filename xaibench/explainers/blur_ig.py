"""Blur Integrated Gradients: the gradient along a path from a blurred image to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Channels, Maps, Pixels, gradient_sums, over_channels
from xaibench.engine.blurs import Border, blur_matrices, blurred
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class BlurIg(Explainer):
    """Gradient along a path of ever less blurred images, times what each step brings back.

    ``sum_k g(L(m_k)) (L(s_k) - L(s_k+1))``, L(s) the image blurred by a Gaussian of standard
    deviation s pixels, s_0 = 0 to s_n = ``max_sigma`` in n = ``steps``, m_k the middle of each
    step; no baseline. ``spacing`` of the s_k: ``quadratic``, max_sigma (k/n)^2, is finer where the
    image changes most; ``linear`` is the paper's, and misses the sum more. ``border``: the image
    goes on mirrored, or ``black`` as in the authors' library, which darkens what is strongly
    blurred. ``channels`` makes one number of a pixel's channels: ``mean_abs`` (not negative), or
    ``sum`` (signed; sums over the image to score(x) - score(most blurred x), but for the size of
    the steps). The authors' library takes 100 steps, gradients at each step's less blurred end,
    and differences over 0.01 pixels of sigma.
    Cost: ``steps`` forward and backward passes. Source: Xu, Venugopalan and Sundararajan 2020,
    "Attribution in scale and space", section 3.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    steps: PositiveInt = 50
    max_sigma: PositiveFloat = 50.0
    spacing: Literal["quadratic", "linear"] = "quadratic"
    border: Border = "reflect"
    channels: Channels = "mean_abs"
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.steps * len(batch)
        return PassCount(passes, passes)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        rows, columns = self._matrices(batch, torch.full((len(batch),), self.max_sigma))
        change = batch.images - blurred(batch.images, rows, columns)
        return over_channels(change * weights, self.channels)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        images = batch.images
        along = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        sigmas = self.max_sigma * along ** (2 if self.spacing == "quadratic" else 1)
        ends = self._matrices(batch, sigmas)
        middles = self._matrices(batch, (sigmas[1:] + sigmas[:-1]) / 2)
        at = lambda image, matrices, step: blurred(images[image], *(m[step] for m in matrices))
        total = gradient_sums(
            model,
            batch.targets,
            self.steps,
            lambda image, step: at(image, middles, step),
            lambda gradients, image, step: (
                gradients * (at(image, ends, step) - at(image, ends, step + 1))
            ),
            self.space,
        )
        return over_channels(total, self.channels)

    def _matrices(
        self, batch: Batch, sigmas: Float[Tensor, " strength"]
    ) -> tuple[Float[Tensor, "strength height height"], Float[Tensor, "strength width width"]]:
        sigmas = sigmas.to(batch.images.device)
        height, width = batch.images.shape[2:]
        return (
            blur_matrices(sigmas, height, self.border),
            blur_matrices(sigmas, width, self.border),
        )
