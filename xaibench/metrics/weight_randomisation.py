"""Weight randomisation: do the maps change when the model forgets what it has learnt?"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from xaibench.engine import Batch, Maps, PerImage, Pixels
from xaibench.engine.likeness import LIKENESSES, UNALIKE, likenesses, unrelated_maps
from xaibench.errors import UserError
from xaibench.metrics.base import Curve, LikenessMetric, Remake, Scores
from xaibench.models.base import Classifier
from xaibench.networks.randomisation import draw_anew, layers_of, pictures
from xaibench.randomness import NOISY_INPUT, draw_seeds, random_uniform
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class WeightRandomisation(LikenessMetric):
    """Likeness of the maps to those of the model with its weights drawn anew; lower is better.

    The model's layers are drawn anew from the output to the input, in ``stages`` cumulative stages
    of equally many layers; the last one is the whole network. After each the maps are made again
    for the same targets and compared with the trained model's: the curves ``spearman``,
    ``spearman_abs`` and ``ssim`` say how like they are, over the fraction of layers drawn anew. The
    values are those of the last stage: ``@spearman``, rank correlation of the maps;
    ``@spearman_abs``, of their absolute values; ``@ssim``, structural similarity of the maps, each
    scaled to [0, 1]. With ``_control`` behind it: the same of the map and uniform noise, what maps
    score that have nothing in common. An explainer whose maps stay the same explains the image, not
    the model. Undefined where one of the two maps is constant.

    Layers are drawn by their own ``reset_parameters``, seeded by the run; batch norms take the
    statistics of 16 generated images, without which the scores of a deep network no longer depend
    on its image (``networks.randomisation``). The model itself is not touched.

    ``@entropy_rise``, higher is better: (H(random) - H(trained)) / H(trained) of the entropy of a
    map's histogram of ``bins`` equal bins from its least to its largest value, after the last
    stage. It compares no two maps pixel by pixel, and so does not depend on what survives of the
    image's structure; but a pixel at the edge of two bins may fall into either by rounding, so that
    it is as exact as maps are: the same for one batch on one machine, within some thousandths
    elsewhere. Undefined where one of the two maps is constant.

    With ``noisy_copies`` of N > 1 every map, the trained model's too, is the mean over N copies of
    the image with normal noise of ``noise`` times the image's range (in [0, 1] after it), so that
    the noise of gradients, which also makes maps unlike, does not pass for sensitivity. Superpixels
    that a batch brings stay those of the clean image; an explainer with segments of its own divides
    each copy anew. ``@entropy_rise`` is then one of mean maps, and meant for 1 copy.

    Cost: ``stages`` more maps an image, counted under scoring; N (``stages`` + 1) of N copies.
    Source: Adebayo et al. 2018, "Sanity checks for saliency maps", section 4.1; the entropy
    (efficient MPRT) and the noisy copies (smooth MPRT) of Hedström et al. 2024, "A fresh look
    at sanity checks for saliency maps", arXiv 2405.02383.
    """

    needs_layers: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, math.inf)
    conventions: ClassVar[dict[str, str]] = {"norms": "recalibrated"}

    stages: Annotated[int, Field(ge=1)] = 3
    bins: Annotated[int, Field(ge=2)] = 100
    noisy_copies: Annotated[int, Field(ge=1)] = 1
    noise: Annotated[float, Field(gt=0)] = 0.2

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return [*super().value_names(masks), f"{self.name}@entropy_rise"]

    def value_bounds(self, value_name: str) -> tuple[float, float]:
        return self.range if value_name.endswith("@entropy_rise") else (-1.0, 1.0)

    def direction(self, value_name: str) -> bool | None:
        return True if value_name.endswith("@entropy_rise") else super().direction(value_name)

    def definition(self) -> dict[str, object]:
        noisy = self.noisy_copies > 1
        return super().definition() | ({} if noisy else {"noisy_copies": None, "noise": None})

    def maps_anew(self) -> int:
        copies = self.noisy_copies
        return self.stages if copies == 1 else copies * (self.stages + 1)

    def others(
        self, model: Classifier, twin: Classifier | None, seed: int
    ) -> Mapping[float, Classifier]:
        """Return fraction of layers drawn anew -> model, with rising fractions; the last is 1."""
        images = (pictures(model.input_shape, seed) - model.mean.cpu()) / model.std.cpu()
        names = layers_of(_copy(model).net, images[:1])
        if not names:
            raise UserError(f"{self.name}: the network has no parameters that can be drawn anew")
        counts = {math.floor(k * len(names) / self.stages + 0.5) for k in range(1, self.stages + 1)}
        found = {}
        for count in sorted(counts - {0}):
            other = _copy(model)
            draw_anew(other.net, names[len(names) - count :], images, seed)
            found[count / len(names)] = other.to(model.device)
        return found

    def compare(
        self,
        model: Classifier,
        others: Mapping[float, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        own = maps if self.noisy_copies == 1 else self._maps(model, batch, remake)
        stages = [self._maps(other, batch, remake) for other in others.values()]
        *found, unrelated = likenesses(own, [*stages, unrelated_maps(own, batch.seeds)])
        x = own.new_tensor([0.0, *others], dtype=torch.float64).expand(len(own), -1)
        curves = {}
        for how in LIKENESSES:
            # A map is like itself; one that says nothing is like no map.
            same = torch.ones_like(unrelated[how]).where(unrelated[how].isfinite(), torch.nan)
            curves[how] = Curve(x, torch.stack([same, *(stage[how] for stage in found)], dim=1))
        before, after = _entropy(own, self.bins), _entropy(stages[-1], self.bins)
        values = self.likeness_values(found[-1], unrelated)
        values[f"{self.name}@entropy_rise"] = (after - before) / before
        return Scores(values, curves, dict.fromkeys(values, UNALIKE))

    def _maps(self, model: Classifier, batch: Batch, remake: Remake) -> Maps:
        if self.noisy_copies == 1:
            return remake(model, batch)
        total = torch.zeros_like(batch.images[:, 0])
        for number in range(self.noisy_copies):
            # The seeds stay: what else is random in an explainer is the same for every copy.
            total += remake(model, replace(batch, images=self._noisy(batch, number)))
        return total / self.noisy_copies

    def _noisy(self, batch: Batch, number: int) -> Pixels:
        images = batch.images
        seeds = draw_seeds(batch.seeds, number)
        uniform = random_uniform(seeds, images[0].numel(), NOISY_INPUT).view(images.shape)
        normal = torch.special.ndtri(uniform.clamp_min(2.0**-54))  # of 0 it would be infinite
        flat = images.flatten(1)
        spread = self.noise * (flat.amax(1) - flat.amin(1))
        return (images + spread[:, None, None, None] * normal).clamp(0, 1).to(images.dtype)


def _copy(model: Classifier) -> Classifier:
    """Return a copy on the CPU, in evaluation mode, whose passes are counted as the model's."""
    other = copy.deepcopy(model).cpu().eval()
    other.passes = model.passes
    other.backend = "eager"  # it makes too few passes to be worth a compilation
    return other


def _entropy(maps: Maps, bins: int) -> PerImage:
    """Return the entropy (in bits) of each map's histogram; NaN where it is constant or NaN."""
    flat = maps.double().flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    place = (flat - low) / (high - low)
    known = place.isfinite().all(1)
    at = (place.nan_to_num() * bins).long().clamp(0, bins - 1)
    counts = flat.new_zeros(len(flat), bins).scatter_add_(1, at, torch.ones_like(flat))
    shares = counts / flat.shape[1]
    return -torch.special.xlogy(shares, shares).sum(1).div(math.log(2)).where(known, torch.nan)
