"""What the metrics of the library Quantus share.

Maps have one channel: Quantus spreads them over the image's, and then ranks channels of pixels.
Images are in [0, 1]; the model normalises. Its baseline ``black`` is the least value of the image,
``white`` the largest, ``mean`` one mean over all channels.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.engine import Batch, Evidence, Maps, PerImage, Seeds
from xaibench.engine.bounds import check_square
from xaibench.engine.columns import Columns
from xaibench.errors import UserError
from xaibench.metrics.base import ComparisonMetric, LocalisationMetric, MapMetric, Remake, Scores
from xaibench.metrics.quantus.library import (
    QUIET,
    REFUSED,
    VERSION,
    as_array,
    contained,
    quantus,
    refused,
    unit_area,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import PERTURBATION, draw_seeds, random_uniform
from xaibench.types import Space

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""
Baseline = Literal["black", "white", "mean", "uniform"] | Annotated[float, Field(ge=0, le=1)]
"""What replaces a value; ``uniform`` is drawn anew for each replacement, by the image's seed."""
Perturb = Callable[..., np.ndarray]  # called with ``arr``, (images, features)
_AT_MOST = 50  # steps, where the number of features in one is not given


class QuantusMetric(MapMetric):
    """A metric of Quantus that takes the model, an image, its target and its map."""

    undefined: ClassVar[str] = REFUSED
    conventions: ClassVar[dict[str, str]] = VERSION

    @abstractmethod
    def metric(self, shape: Shape) -> quantus.metrics.base.Metric:
        """Return Quantus' metric for images of a shape."""

    def passes(self, shape: Shape) -> int | None:
        """Return the passes an image and map; None where nobody can say before."""
        return 0

    def number(self, found: Sequence[Any]) -> float:
        """Return the value in what Quantus gives for one image."""
        return float(found[0])

    def cost(self, model: Classifier, batch: Batch) -> PassCount | None:
        passes = self.passes(tuple(batch.images.shape[1:]))
        return None if passes is None else PassCount(forward=passes * len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        values = torch.full((len(maps),), torch.nan, dtype=torch.float64)
        columns = Columns(model, getattr(self, "space", "prob"))
        with model.as_found():
            model.eval()
            for i in (~refused(maps)).nonzero()[:, 0].tolist():
                with contained(int(batch.seeds[i])):
                    found = self.metric(tuple(batch.images.shape[1:]))(
                        model=columns,
                        x_batch=as_array(batch.images[i : i + 1]),
                        y_batch=as_array(batch.targets[i : i + 1]),
                        a_batch=as_array(maps[i : i + 1, None]),
                        channel_first=True,
                        softmax=False,  # the columns are what ``space`` says already
                        device=str(model.device),
                    )
                values[i] = self.number(found)
        return Scores({self.name: values.to(maps.device)}, undefined={self.name: self.undefined})


@dataclass(frozen=True)
class StepMetric(QuantusMetric):
    """A metric of Quantus that replaces features in the map's order, some at a step.

    A feature is one channel of one pixel. ``features_in_step`` must divide the number of pixels;
    None is the smallest such number that makes at most 50 steps (Quantus: 1, which is 150,528
    passes an image of 224 x 224 in three channels).
    """

    features_in_step: Annotated[int, Field(ge=1)] | None = None
    perturb_baseline: Baseline = "black"
    abs: bool = False
    space: Space = "prob"

    def check(self, size: tuple[int, int]) -> None:
        if self.features_in_step and math.prod(size) % self.features_in_step:
            raise UserError(
                f"features_in_step: {self.features_in_step} does not divide the {math.prod(size)} "
                f"pixels of images of {size[0]} x {size[1]}; leave it out for a number that does"
            )

    def step(self, shape: Shape) -> int:
        """Return the features that are replaced at a step."""
        pixels = shape[1] * shape[2]
        fitting = (d for d in range(1, pixels + 1) if pixels % d == 0)
        enough = (d for d in fitting if math.prod(shape) <= _AT_MOST * d or d == pixels)
        return self.features_in_step or next(enough)

    def steps(self, shape: Shape) -> int:
        return math.prod(shape) // self.step(shape)

    def asked(self, shape: Shape) -> dict[str, Any]:
        """Return what all such metrics of Quantus are made with."""
        said = {"perturb_baseline": self.perturb_baseline, "abs": self.abs}
        return QUIET | said | {"features_in_step": self.step(shape)}


@dataclass(frozen=True)
class PatchMetric(QuantusMetric):
    """A metric of Quantus that replaces square patches in the order of their relevance.

    Images whose sides are no multiples of ``patch_size`` are padded to the next one.
    """

    patch_size: Annotated[int, Field(ge=1)] = 8
    perturb_baseline: Baseline = "black"
    abs: bool = False
    space: Space = "prob"

    def check(self, size: tuple[int, int]) -> None:
        check_square("patch_size", self.patch_size, size)

    def patches(self, shape: Shape) -> int:
        """Return the patches of an image."""
        return math.ceil(shape[1] / self.patch_size) * math.ceil(shape[2] / self.patch_size)

    def number(self, found: Sequence[Any]) -> float:
        return float(unit_area(found[0]))

    def asked(self) -> dict[str, Any]:
        """Return what all such metrics of Quantus are made with."""
        return QUIET | {k: getattr(self, k) for k in ("patch_size", "perturb_baseline", "abs")}


class MaskMetric(LocalisationMetric):
    """A metric of Quantus that holds a map against a mask; needs neither model nor image."""

    undefined: ClassVar[str] = f"{LocalisationMetric.undefined}, or {REFUSED}"
    conventions: ClassVar[dict[str, str]] = VERSION

    @abstractmethod
    def metric(self, size: tuple[int, int]) -> quantus.metrics.base.Metric:
        """Return Quantus' metric for images of (height, width)."""

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        values = torch.full((len(maps),), torch.nan, dtype=torch.float64)
        size = tuple(maps.shape[1:])
        blank = np.zeros((1, 1, *size), np.float32)
        told = ~refused(maps) & mask.flatten(1).any(1)
        for i in told.nonzero()[:, 0].tolist():
            with contained(int(seeds[i])):
                found = self.metric(size)(
                    model=None,
                    x_batch=blank,
                    y_batch=np.zeros(1, int),
                    a_batch=as_array(maps[i : i + 1, None]),
                    s_batch=as_array(mask[i : i + 1, None]),
                    channel_first=True,
                )
            values[i] = float(found[0])
        return values.to(maps.device)


@dataclass(frozen=True)
class StabilityMetric(ComparisonMetric):
    """A metric of Quantus that asks for the explainer's maps of noisy copies of the image.

    The noise is drawn by the image's seed, not numpy's generator, and copies are cut to [0, 1]: a
    whole batch goes through at once and no value depends on others. Quantus draws 200 copies.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    conventions: ClassVar[dict[str, str]] = VERSION
    undefined: ClassVar[str] = f"of the map or of a copy's: {REFUSED}"
    checked_with: ClassVar[dict[str, int]] = {"nr_samples": 2}
    library: ClassVar[type[quantus.metrics.base.Metric]]

    nr_samples: Annotated[int, Field(ge=1)] = 10
    abs: bool = False

    def metric(self, perturb: Perturb) -> quantus.metrics.base.Metric:
        """Return Quantus' metric, which may normalise maps by image only."""
        return self.library(**self.asked(), perturb_func=perturb)

    def asked(self) -> dict[str, Any]:
        """Return what all such metrics of Quantus are made with."""
        return QUIET | {"nr_samples": self.nr_samples, "abs": self.abs}

    @abstractmethod
    def noise(self, uniform: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """Return noise made of uniform numbers on [0, 1)."""

    def perturbation(self, seeds: Seeds) -> Perturb:
        """Return a perturbation that adds other noise each time that it is called."""
        draws = itertools.count(1)

        def perturb(arr: np.ndarray, **_: object) -> np.ndarray:
            own = draw_seeds(seeds.cpu(), next(draws))
            noise = self.noise(random_uniform(own, arr.shape[1], PERTURBATION)).numpy()
            return np.clip(arr + noise, 0, 1).astype(arr.dtype)

        return perturb

    def compare(
        self,
        model: Classifier,
        others: Mapping[str, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        # Alone, a map that Quantus refuses would end its call: so it may not count in company.
        ended = refused(maps)
        ramp = torch.arange(1.0, maps[0].numel() + 1, device=maps.device).view(maps[0].shape)

        def taken(made: Maps) -> np.ndarray:
            ended.logical_or_(refused(made))
            return as_array(torch.where(refused(made)[:, None, None], ramp, made)[:, None])

        def explain(inputs: np.ndarray, **_: object) -> np.ndarray:
            images = torch.from_numpy(inputs).to(batch.images)
            return taken(remake(model, replace(batch, images=images)))

        with model.as_found(), contained(0):
            model.eval()
            found = self.metric(self.perturbation(batch.seeds))(
                model=Columns(model, "prob"),
                x_batch=as_array(batch.images),
                y_batch=as_array(batch.targets),
                a_batch=taken(maps),
                channel_first=True,
                softmax=False,
                explain_func=explain,
                device=str(model.device),
                batch_size=len(batch),
            )
        values = torch.tensor(np.asarray(found, np.float64), device=maps.device)
        values[ended] = torch.nan
        return Scores({self.name: values}, undefined={self.name: self.undefined})


@dataclass(frozen=True)
class SensitivityMetric(StabilityMetric):
    """The change of a map by its own size, under uniform noise to both sides."""

    lower_bound: Annotated[float, Field(gt=0)] = 0.2

    def noise(self, uniform: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        return self.lower_bound * (2 * uniform - 1)


@dataclass(frozen=True)
class RelativeStabilityMetric(StabilityMetric):
    """The change of a map by that of something else, relative pixel by pixel, under added noise."""

    undefined: ClassVar[str] = f"{StabilityMetric.undefined}, or a copy's prediction is another one"

    lower_bound: Annotated[float, Field(ge=0)] = 0.02
    upper_bound: Annotated[float, Field(gt=0)] = 0.2

    def validate(self) -> None:
        if self.lower_bound >= self.upper_bound:
            raise UserError(
                f"lower_bound: {self.lower_bound} is not below upper_bound: {self.upper_bound}"
            )

    def noise(self, uniform: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        return self.lower_bound + (self.upper_bound - self.lower_bound) * uniform
