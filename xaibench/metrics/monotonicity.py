"""Monotonicity: does the score rise with each pixel that comes, the least relevant first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine import BandMasks, Batch, Maps, altered_scores, pixel_ranks
from xaibench.engine.correlation import spearman
from xaibench.engine.shared import unmasked_score
from xaibench.metrics.base import PixelMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import NEIGHBOURHOOD, copy_seeds, random_uniform
from xaibench.registry import register

_ROUNDING = 1e-5


@register("metric")
@dataclass(frozen=True)
class Monotonicity(PixelMetric):
    """Share of steps at which the score does not fall as pixels come, the least relevant first.

    ``definition_by: arya``, the default. From the fill, pixels get back their values by rising
    relevance, round(k / S x HW) of them at step k = 0..S: the share of the S steps at which the
    score does not fall (by more than rounding, 1e-5 of the curve's largest absolute value). In
    [0, 1], higher is better; a random map scores about one half. The paper's number is whether this
    is 1, which with the many steps of an image it hardly ever is. Relevance is taken with its sign,
    so that maps with negative evidence begin by a fall. Quantus 0.6 sets values of an image that is
    the baseline already to the baseline, so that no score ever changes and every map scores true.

    ``definition_by: nguyen`` is another definition under the same name: the pixels in ``steps``
    groups by their absolute relevance, Spearman's correlation over the groups of the sum of
    absolute relevance with the mean of (score(x) - score(x with the group drawn anew))^2 over
    ``samples`` draws, uniform on [0, 1] in every pixel and channel. In [-1, 1], higher is better.
    Undefined where either is the same for all groups. It fills by noise and has no ``fill``; the
    paper goes by single pixels and divides by score(x)^2, which changes no rank.

    Cost: S - 1 passes an image and map; by ``nguyen``, S x ``samples``. Source: Arya et al. 2019,
    "One explanation does not fit all: a toolkit and taxonomy of AI explainability techniques",
    section on metrics; Nguyen and Rodríguez Martínez 2020, "On quantitative aspects of model
    interpretability", section 3 (arXiv 2007.07584).
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    definition_by: Literal["arya", "nguyen"] = "arya"
    steps: Annotated[int, Field(ge=2)] = 100
    samples: PositiveInt = 8

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.definition_by == "arya" else self.range

    def definition(self) -> dict[str, object]:
        unused = "samples" if self.definition_by == "arya" else "fill"
        return super().definition() | {unused: None}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        if self.definition_by == "arya":
            return super().cost(model, batch)
        return PassCount((len(self.counts(batch)) - 1) * self.samples * len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        if self.definition_by == "nguyen":
            return self._score_by_groups(model, batch, maps)
        curve = self.curve(model, batch, maps, restores=True, least_first=True)
        falls = -curve.y.diff(dim=1) > _ROUNDING * curve.y.abs().amax(1, keepdim=True)
        return Scores({self.name: 1 - falls.double().mean(1)}, {self.name: curve})

    def _score_by_groups(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        edges = self.counts(batch)
        ranks = pixel_ranks(maps.abs(), batch.seeds)
        groups = len(edges) - 1
        masks = BandMasks(ranks, edges, torch.full_like(batch.targets, groups))

        def altered(image: Tensor, copy: Tensor) -> Tensor:
            images = batch.images[image]
            seeds = copy_seeds(batch.seeds[image], copy)
            noise = random_uniform(seeds, images[0].numel(), NEIGHBOURHOOD).view_as(images)
            drawn = masks.expand(image, copy // self.samples)[:, None]
            return torch.where(drawn, noise.to(images.dtype), images)

        copies = groups * self.samples
        scores = altered_scores(model, batch.targets, copies, altered, self.space).double()
        whole = unmasked_score(model, batch, self.space).double()[:, None]
        changes = (whole - scores).square().view(len(batch), groups, -1).mean(2)
        values = spearman(_sums(maps.abs(), ranks, edges), changes)
        undefined = "the relevance of all groups, or what they change, is the same"
        return Scores({self.name: values}, undefined={self.name: undefined})


def _sums(maps: Maps, ranks: Tensor, edges: Tensor) -> Float[Tensor, "batch group"]:
    """Return the sum of relevance in each band of a ranking."""
    by_rank = torch.zeros_like(maps.flatten(1), dtype=torch.float64)
    by_rank.scatter_(1, ranks.flatten(1).long(), maps.flatten(1).double())
    total = F.pad(by_rank.cumsum(1), (1, 0))
    return total[:, edges].diff(dim=1)
