"""Random perturbations of images: the score after them, beside what a map says they change."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine.altered import altered_scores
from xaibench.engine.batch import Batch, Maps, Seeds
from xaibench.engine.digests import Numbers, sums_of_boxes
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.masks import Digests, Masks
from xaibench.engine.scores import masked_scores
from xaibench.engine.shared import shared_scores
from xaibench.engine.subsets import over_draws
from xaibench.models.base import Classifier
from xaibench.randomness import NEIGHBOURHOOD, SQUARES, copy_seeds, random_normal, random_uniform
from xaibench.types import Space


class Perturbations(ABC):
    """Perturbations of an image, the same whatever the map: their passes are shared."""

    @abstractmethod
    def scores(self, model: Classifier, batch: Batch, space: Space) -> Float[Tensor, "batch draw"]:
        """Return the score of each perturbed image; a pass each, shared by all explainers."""

    @abstractmethod
    def explained(self, batch: Batch, maps: Maps) -> Float[Tensor, "batch draw"]:
        """Return the drop of the score that the map says each perturbation makes, in float64."""


@dataclass(frozen=True)
class SquaresRemoved(Perturbations):
    """A square of the image becomes the fill; the map says that its sum there is lost.

    Attributes:
        largest: side of the largest square as a share of the image's shorter side; sides are
            uniform from 1 pixel to it, places uniform among those within the image.
    """

    draws: int
    largest: float
    fill: Fill

    def scores(self, model: Classifier, batch: Batch, space: Space) -> Float[Tensor, "batch draw"]:
        def scores_of(whole: Batch) -> Tensor:
            size = tuple(whole.images.shape[2:])
            counts = torch.full_like(whole.targets, self.draws)
            masks = SquareMasks(self._boxes(whole.seeds, size), size, counts)
            fills = fill_images(whole, self.fill)
            return masked_scores(model, whole.images, fills, whole.targets, masks, space)

        return shared_scores(model, batch, f"{self},space={space}", scores_of)

    def explained(self, batch: Batch, maps: Maps) -> Float[Tensor, "batch draw"]:
        whole, at = batch.whole()
        top, bottom, left, right = self._boxes(whole.seeds[at], tuple(maps.shape[1:])).unbind(2)
        above = F.pad(maps.double().cumsum(1).cumsum(2), (1, 0, 1, 0))
        image = torch.arange(len(maps), device=maps.device)[:, None]
        sum_to = lambda y, x: above[image, y, x]
        inner = sum_to(bottom, right) + sum_to(top, left)
        return inner - sum_to(top, right) - sum_to(bottom, left)

    def _boxes(self, seeds: Seeds, size: tuple[int, int]) -> Int[Tensor, "batch draw 4"]:
        """Return top, bottom, left and right of each square, the ends exclusive."""
        most = max(1, math.floor(self.largest * min(size) + 0.5))
        drawn = random_uniform(seeds, 3 * self.draws, SQUARES).view(-1, self.draws, 3)
        side = 1 + (drawn[..., 0] * most).long()
        top = (drawn[..., 1] * (size[0] - side + 1)).long()
        left = (drawn[..., 2] * (size[1] - side + 1)).long()
        return torch.stack([top, top + side, left, left + side], dim=2)


@dataclass(frozen=True)
class NoiseRemoved(Perturbations):
    """Normal noise is taken from the image; the map says that each pixel's noise times it is lost.

    A pixel has one number for all its channels, as it has one relevance.

    Attributes:
        sigma: standard deviation, in the unit of images in [0, 1].
    """

    draws: int
    sigma: float

    def scores(self, model: Classifier, batch: Batch, space: Space) -> Float[Tensor, "batch draw"]:
        def scores_of(whole: Batch) -> Tensor:
            def altered(image: Tensor, copy: Tensor) -> Tensor:
                images = whole.images[image]
                noise = self._noise(copy_seeds(whole.seeds[image], copy), images[0, 0].numel())
                return images - noise.view(-1, 1, *images.shape[2:])

            return altered_scores(model, whole.targets, self.draws, altered, space)

        return shared_scores(model, batch, f"{self},space={space}", scores_of)

    def explained(self, batch: Batch, maps: Maps) -> Float[Tensor, "batch draw"]:
        flat = maps.flatten(1).double()

        def lost(seeds: Seeds, rows: Tensor, draws: Tensor) -> Tensor:
            pair = copy_seeds(seeds.repeat_interleave(len(draws)), draws.repeat(len(seeds)))
            noise = self._noise(pair, flat.shape[1]).view(len(seeds), len(draws), -1)
            return (noise[rows] * flat[:, None]).sum(2)

        return over_draws(batch, self.draws, flat.shape[1], lost)

    def _noise(self, seeds: Seeds, pixels: int) -> Float[Tensor, "pair pixel"]:
        return self.sigma * random_normal(seeds, pixels, NEIGHBOURHOOD)


@dataclass(frozen=True)
class SquareMasks(Masks):
    """Boxes replaced, other ones in each image.

    Attributes:
        boxes: top, bottom, left, right in pixels, the ends exclusive.
        size: height and width of the images.
        counts: masks of each image.
    """

    boxes: Int[Tensor, "batch mask 4"]
    size: tuple[int, int]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        top, bottom, left, right = self.boxes[image, mask].T[:, :, None]
        y = torch.arange(self.size[0], device=mask.device)
        x = torch.arange(self.size[1], device=mask.device)
        rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
        return rows[:, :, None] & columns[:, None, :]

    def digests(self, numbers: Numbers) -> Digests:
        return sums_of_boxes(self.boxes, numbers)
