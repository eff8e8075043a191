"""shap's GradientExplainer: expected gradients with the package's own draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Channels, Maps, Pixels, over_channels
from xaibench.explainers.base import Need
from xaibench.explainers.shap.base import ShapExplainer, TargetScore, package
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class Gradient(ShapExplainer):
    """Expected gradients by shap's GradientExplainer: random references, random points.

    The mean over ``samples`` draws of (x - r) g(r + a (x - r)): r one of the run's reference
    images, a uniform on [0, 1), drawn independently from numpy's generator, seeded by image. 200
    samples are the package's default and ours; ``expected_gradients`` is the same in full batches,
    with less noise. ``channels`` makes one number of a pixel's channels: ``sum`` (signed), or
    ``mean_abs`` (not negative).
    Cost: ``samples`` forward and backward passes, and a forward pass a reference image. Source:
    Erion et al. 2021, "Improving performance of deep learning models with axiomatic attribution
    priors and expected gradients"; the shap package.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    samples: PositiveInt = 200
    channels: Channels = "sum"
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        images = len(batch)
        forward = (self.samples + len(batch.reference_images())) * images
        return PassCount(forward, self.samples * images)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        references = batch.reference_images()
        means = [references[self._drawn(s, len(references))].mean(0) for s in batch.seeds.tolist()]
        return over_channels((batch.images - torch.stack(means)) * weights, self.channels)

    def _drawn(self, seed: int, references: int) -> list[int]:
        """Return which references the package draws for an image."""
        state = np.random.RandomState(seed % 2**32)
        pairs = [(state.choice(references), state.uniform()) for _ in range(self.samples)]
        return [reference for reference, _ in pairs]

    def explain(self, model: Classifier, one: Batch) -> Float[Tensor, "height width"]:
        peer = package.GradientExplainer(
            TargetScore(model, one, self.space),
            one.reference_images(),
            batch_size=model.batch_size,
        )
        seed = int(one.seeds[0]) % 2**32
        values = peer.shap_values(one.images, nsamples=self.samples, rseed=seed)
        return over_channels(torch.from_numpy(values[..., 0]), self.channels)[0]
