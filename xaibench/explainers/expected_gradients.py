"""Expected gradients: Integrated Gradients from training images instead of one baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Channels, Maps, Pixels, Seeds, gradient_sums, over_channels
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import PATH_POINT, REFERENCE_ORDER, random_bits, random_uniform
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class ExpectedGradients(Explainer):
    """Gradient at random points between a training image and this one, times their difference.

    ``1/n sum_k (x - r_k) g(r_k + a_k (x - r_k))``, n = ``samples``: an estimate of the mean of
    Integrated Gradients over the run's reference images. Each reference is taken equally often
    (within one) in an order seeded by image, and its points a_k lie one in each of equal parts of
    [0, 1]; the paper and shap draw both independently, which has the same expectation and more
    noise. ``channels`` makes one number of a pixel's channels: ``mean_abs`` (not negative), or
    ``sum`` (signed; sums over the image to score(x) less the references' mean score, but for
    sampling). shap's GradientExplainer takes 200 samples, captum's GradientShap 5.
    Cost: ``samples`` forward and backward passes. Source: Erion et al. 2021, "Improving
    performance of deep learning models with axiomatic attribution priors and expected gradients".
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    samples: PositiveInt = 64
    channels: Channels = "mean_abs"
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.samples * len(batch)
        return PassCount(passes, passes)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        references = batch.reference_images()
        chosen, _ = path_points(batch.seeds, len(references), self.samples)
        means = torch.stack([references[each].mean(0) for each in chosen])
        return over_channels((batch.images - means) * weights, self.channels)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        references = batch.reference_images()
        chosen, along = path_points(batch.seeds, len(references), self.samples)
        along = along.to(batch.images.dtype)[:, :, None, None, None]
        between = lambda image, copy: torch.lerp(
            references[chosen[image, copy]], batch.images[image], along[image, copy]
        )
        times_difference = lambda gradients, image, copy: (
            gradients * (batch.images[image] - references[chosen[image, copy]])
        )
        total = gradient_sums(
            model, batch.targets, self.samples, between, times_difference, self.space
        )
        return over_channels(total / self.samples, self.channels)


def path_points(
    seeds: Seeds, references: int, samples: int
) -> tuple[Int[Tensor, "batch sample"], Float[Tensor, "batch sample"]]:
    """Return each sample's reference, and how far it lies from there to the image, in [0, 1)."""
    order = random_bits(seeds, references, REFERENCE_ORDER).argsort(dim=1)
    number = torch.arange(samples, device=seeds.device)
    turn = number // references
    turns = (samples - 1 - number % references) // references + 1
    uniform = random_uniform(seeds, samples, PATH_POINT)
    return order[:, number % references], (turn + uniform) / turns
