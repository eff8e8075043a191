"""Extremal perturbation: the smooth mask of a given area that keeps the score highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from xaibench.engine import (
    Batch,
    Fill,
    Maps,
    SmoothMasks,
    area_excess,
    blur_levels,
    degraded,
    fill_images,
    in_batches,
)
from xaibench.engine.bounds import check_cells
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space

_AREA_WEIGHT, _GROWTH = 300.0, 1.0035**800
_MOMENTUM = 0.9
_BLUR, _BLURS = 20 / 224, 8


@register("explainer")
@dataclass(frozen=True)
class ExtremalPerturbation(Explainer):
    """Mask of a fixed area whose perturbed image scores highest, in [0, 1], mean over ``areas``.

    Maximises f(m * x) - lambda |vecsort(m) - r_a|^2 / |u| over the parameters of a smooth mask m
    (see ``SmoothMasks``), r_a zeros and then a share a of ones. m * x is blurred the more the
    lower m is, up to sigma = 20 / 224 of the shorter side (``graded_blur``, as in the paper),
    or mixed with a fill. Parameters begin at 1 and are kept in [0, 1]; stochastic gradient with
    momentum and dampening 0.9; lambda rises from 300 by a factor of 1.0035^800 in all. ``cells``
    a shorter side and ``sigma``, in cells, are 7 and 21 of 224 pixels in the paper's code, which
    takes 800 steps of rate 0.01; ours are 100 of 0.08, the same way in larger steps. Its random
    flips and its margin around the image are left out; pixels of equal m share what r_a asks.
    Cost: ``steps`` x areas forward and backward passes. Source: Fong, Patrick and Vedaldi 2019,
    "Understanding deep networks via extremal perturbations and smooth masks", equations 2 to 6.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    checked_with: ClassVar[dict[str, int]] = {"steps": 10}

    areas: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1, strict=False)
    ] = (0.1,)
    steps: PositiveInt = 100
    rate: PositiveFloat = 0.08
    cells: PositiveInt = 32
    sigma: PositiveFloat = 3.0
    fill: Fill | Literal["graded_blur"] = "graded_blur"
    space: Space = "logit"

    def check(self, model: Classifier) -> None:
        check_cells(self.cells, model.input_shape[1:])

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.steps * len(self.areas) * len(batch)
        return PassCount(passes, passes)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        count = len(self.areas)
        found: list[Tensor] = []

        def optimise(part: slice) -> None:
            items = range(part.start, part.stop)
            areas = [self.areas[i % count] for i in items]
            found.append(self._optimised(model, batch.take([i // count for i in items]), areas))

        with model.as_found():
            model.requires_grad_(False)  # the gradient is wanted at the mask, not at the weights
            in_batches(model, count * len(batch), optimise)
        masks = torch.cat(found)
        return masks.view(len(batch), count, *masks.shape[1:]).mean(1)

    def _optimised(self, model: Classifier, batch: Batch, areas: list[float]) -> Maps:
        """Return the mask of each image and its own area; images know nothing of each other."""
        size = tuple(batch.images.shape[2:])
        smooth = SmoothMasks(size, max(1, round(min(size) / self.cells)), self.sigma)
        kernel = smooth.kernel(model.device)
        levels = self._levels(batch)
        wanted = torch.tensor(areas, device=model.device)
        parameters = torch.ones(len(batch), *smooth.grid, device=model.device)
        velocity = None
        for step in range(self.steps):
            with torch.enable_grad():
                parameters.requires_grad_()
                masks = smooth.masks(parameters, kernel)
                score = model.score(degraded(levels, masks), batch.targets, self.space)
                weight = _AREA_WEIGHT * _GROWTH ** (step / self.steps)
                energy = (score - weight * area_excess(masks, wanted)).sum()
                (gradient,) = torch.autograd.grad(energy, parameters)
            # As torch's SGD: the first gradient whole, those after it dampened.
            if velocity is None:
                velocity = gradient
            else:
                velocity = _MOMENTUM * velocity + (1 - _MOMENTUM) * gradient
            parameters = (parameters.detach() + self.rate * velocity).clamp(0, 1)
        return smooth.masks(parameters, kernel)

    def _levels(self, batch: Batch) -> Float[Tensor, "batch level channel height width"]:
        if self.fill == "graded_blur":
            return blur_levels(batch.images, _BLUR * min(batch.images.shape[2:]), _BLURS)
        return torch.stack([fill_images(batch, self.fill), batch.images], dim=1)
