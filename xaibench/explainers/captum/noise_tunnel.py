"""SmoothGrad, its square and VarGrad over any attribution of captum: its NoiseTunnel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt

from xaibench.engine import Batch, Maps
from xaibench.engine.seeding import seeded
from xaibench.errors import UserError, did_you_mean
from xaibench.explainers.captum.base import Attribution, Attributions
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import draw_seeds
from xaibench.registry import Registry, register


@register("explainer")
@dataclass(frozen=True)
class NoiseTunnel(Attribution):
    """Attributions of noisy copies of the image: their mean, their mean square, or their variance.

    ``of`` names the captum attribution, which has its defaults; ``variant``: ``smoothgrad`` the
    mean (signed as ``of`` is), ``smoothgrad_sq`` the mean square, ``vargrad`` the variance (not
    negative), taken before channels become one number. ``samples`` copies with normal noise of
    deviation ``stdev`` in the unit of [0, 1] images, drawn from the image's seed. captum: 5
    samples, deviation 1. Cost: ``samples`` times that of ``of``. Source: Smilkov et al. 2017,
    "SmoothGrad: removing noise by adding noise", section 2; Adebayo et al. 2018, "Local explanation
    methods for deep neural networks lack sensitivity to parameter values", equation 3.
    """

    of: str = "saliency"
    variant: Literal["smoothgrad", "smoothgrad_sq", "vargrad"] = "smoothgrad"
    samples: PositiveInt = 10
    stdev: PositiveFloat = 0.15
    needs = ("scores", "gradients")

    def validate(self) -> None:
        family = [
            name.removeprefix("captum.")
            for name in Registry().names("explainer")
            if name.startswith("captum.") and name != self.name
        ]
        if self.of not in family:
            raise UserError(f"{self.name}: unknown `of` {self.of!r}{did_you_mean(self.of, family)}")

    def _inner(self) -> Attribution:
        return Registry().load("explainer", f"captum.{self.of}")()

    def check(self, model: Classifier) -> None:
        self._inner().check(model)

    def facts(self, model: Classifier) -> dict[str, object]:
        return self._inner().facts(model)

    def copies(self, model: Classifier, batch: Batch) -> int:
        return self.samples

    def cost(self, model: Classifier, batch: Batch) -> PassCount | None:
        one = self._inner().cost(model, batch)
        return one and PassCount(one.forward * self.samples, one.backward * self.samples)

    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        return self._inner().maps(attributions, batch)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        inner, noisy = self._inner(), self._noisy(batch)
        size = max(1, model.batch_size // inner.copies(model, batch))
        parts = [inner.attributions(model, part) for part in noisy.split(size)]
        each = torch.cat(parts).detach().unflatten(0, (len(batch), self.samples))
        if self.variant == "smoothgrad":
            return each.mean(1)
        square = each.square().mean(1)
        return square if self.variant == "smoothgrad_sq" else square - each.mean(1).square()

    def _noisy(self, batch: Batch) -> Batch:
        """Return every image's copies, one after the other, each with a seed of its own."""
        copies = batch.take([i for i in range(len(batch)) for _ in range(self.samples)])
        noise, deviation = [], torch.full((self.samples, *batch.images.shape[1:]), self.stdev)
        for seed in batch.seeds.tolist():
            with seeded(seed, torch.device("cpu")):
                noise.append(torch.normal(0.0, deviation))
        seeds = torch.stack([draw_seeds(batch.seeds, n) for n in range(self.samples)], dim=1)
        images = copies.images + torch.cat(noise).to(copies.images)
        return replace(copies, images=images, seeds=seeds.flatten())
