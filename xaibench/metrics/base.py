"""The contract of a metric: a number an image and map, or a number for the model alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import ConfigDict, Field

from xaibench.engine import Batch, Evidence, Fill, Maps, PerImage, Seeds
from xaibench.engine.bounds import check_steps
from xaibench.engine.curves import Counts, Curve, removal_curve, step_counts, trapezoid
from xaibench.engine.likeness import LIKENESSES, WINDOW, Likeness
from xaibench.errors import PluginError, UserError
from xaibench.models.base import Classifier, PassCount
from xaibench.types import Labels, Precision, Space, Task


@dataclass(frozen=True)
class Scores:
    """What a metric says of a batch of maps.

    Attributes:
        values: name -> one number an image, NaN where the metric has no value. The name is the
            metric's own, or ``metric@variant`` (a mask, an abscissa).
        curves: name -> curve.
        undefined: name -> why a value may be NaN.
    """

    values: Mapping[str, PerImage]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)


class Metric(ABC):
    """A plugin that scores; its fields are the parameters that a config may set."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    """Direction; None where neither is better."""
    range: ClassVar[tuple[float, float]]
    """Smallest and largest value for probabilities; see ``bounds``."""
    conventions: ClassVar[Mapping[str, str]] = {}
    """What the definition fixes beyond the parameters, for the protocol id."""
    uses_segments: ClassVar[bool] = False
    expected: ClassVar[Mapping[str, str]] = {}
    """Check -> why it fails and may, for ``xaibench check``."""
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    def check(self, size: tuple[int, int]) -> None:
        """Raise UserError where images of (height, width) are not for it; runs before training."""

    def cost(self, model: Classifier, batch: Batch) -> PassCount | None:
        """Return the passes of a map of each image, without ``engine.shared``; None: unknown."""
        return None

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        """Return the names of the values that it gives, for a data set with these masks."""
        return [self.name]

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value for these parameters: logits have none."""
        unbounded = getattr(self, "space", "prob") == "logit"
        return (-math.inf, math.inf) if unbounded else self.range

    def value_bounds(self, value_name: str) -> tuple[float, float]:
        """Return the smallest and largest that one of its values can be; tables hold them."""
        return self.bounds

    def direction(self, value_name: str) -> bool | None:
        """Return whether higher is better for one of its values; None where neither is."""
        return self.higher_is_better

    def definition(self) -> dict[str, object]:
        """Return what defines it, for the protocol id: parameters and conventions by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | dict(self.conventions)

    def protocol(self, value_name: str, segments: str, precision: Precision = "fp32") -> str:
        """Return the id of the exact definition, such as ``deletion[fill=black,steps=100]``.

        Args:
            value_name: the metric's name, or ``metric@variant``.
            segments: id of the run's superpixels, part of the protocol of a metric that uses them.
            precision: of the engine's passes, for maps and scores alike; said where it is not fp32.
        """
        said = self.definition()
        if self.uses_segments:
            said["segments"] = segments
        said["score"] = said.pop("space", None)
        said["precision"] = None if precision == "fp32" else precision
        shown = ",".join(f"{k}={v}" for k, v in sorted(said.items()) if v is not None)
        return f"{value_name}[{shown}]"


def check_promises(metric: Metric, scores: Scores, batch: Batch) -> None:
    """Raise PluginError where a metric gives other names or shapes than it promised."""
    wanted = metric.value_names(tuple(batch.masks))
    if sorted(scores.values) != sorted(wanted):
        raise PluginError(f"{metric.name}: scores {sorted(scores.values)}, promised {wanted}")
    for name, values in scores.values.items():
        if values.shape != (len(batch),):
            raise PluginError(f"{name}: shape {tuple(values.shape)}, must be ({len(batch)},)")


class MapMetric(Metric):
    """Scores relevance maps, one number an image."""

    @abstractmethod
    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        """Score finite maps of a batch."""


class ImageMetric(Metric):
    """Scores the model on images without any map, once for each image and target; has no curves."""

    @abstractmethod
    def score_images(self, model: Classifier, batch: Batch) -> Scores:
        """Score the images of a batch."""


class PredictionMetric(Metric):
    """Scores the model's predictions alone, once a run."""

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    @abstractmethod
    def score_predictions(
        self, labels: Labels, probabilities: Float[np.ndarray, "n class"], *, task: Task, seed: int
    ) -> dict[str, float]:
        """Return name -> number over the whole split."""


Remake = Callable[[Classifier, Batch], Maps]
"""The same explainer's maps of a batch by some model, of its own images or of altered ones."""


class ComparisonMetric(Metric):
    """Compares a model's maps with those that the same explainer makes of other models."""

    needs_twin: ClassVar[bool] = False
    """Whether it asks for the model's twin, which a run then trains on permuted labels."""
    needs_layers: ClassVar[bool] = False  # one that gives scores alone is refused

    def maps_anew(self) -> int:
        """Return how many maps it asks ``remake`` for, at most, for each map that it scores."""
        return 1

    def others(
        self, model: Classifier, twin: Classifier | None, seed: int
    ) -> Mapping[Any, Classifier]:
        """Return the models to compare with, under names of its own; asked once for each model.

        A copy of the model shares its ``passes``, so that they are counted as the model's.
        """
        return {}

    @abstractmethod
    def compare(
        self,
        model: Classifier,
        others: Mapping[Any, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        """Score finite maps of a batch; a map that ``remake`` could not make is NaN."""


class LikenessMetric(ComparisonMetric):
    """Compares by ``engine.likeness``: a value ``name@HOW`` each, lower is better.

    Each has a control without a direction, ``name@HOW_control``: the likeness of the map to uniform
    noise of the same image, which has nothing in common with it.
    """

    higher_is_better: ClassVar[bool | None] = False
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def check(self, size: tuple[int, int]) -> None:
        if min(size) < WINDOW:
            raise UserError(f"images of {size[0]}x{size[1]} are smaller than its {WINDOW} pixels")

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return [f"{self.name}@{how}{end}" for end in ("", "_control") for how in LIKENESSES]

    def direction(self, value_name: str) -> bool | None:
        return None if value_name.endswith("_control") else super().direction(value_name)

    def likeness_values(self, like: Likeness, unrelated: Likeness) -> dict[str, PerImage]:
        """Return the values: of the likeness to another model's maps, and to unrelated maps."""
        values = {f"{self.name}@{how}": value for how, value in like.items()}
        return values | {f"{self.name}@{how}_control": v for how, v in unrelated.items()}


class LocalisationMetric(MapMetric):
    """Scores maps against each mask of the data set: a value ``name@mask`` for each."""

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return [f"{self.name}@{mask}" for mask in masks]

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        values = {}
        for name, mask in batch.masks.items():
            value = self.against(mask, maps, batch.seeds)
            # An empty mask is no evidence of absence: there is nothing to be found.
            values[f"{self.name}@{name}"] = value.where(mask.flatten(1).any(1), torch.nan)
        return Scores(values, undefined=dict.fromkeys(values, self.undefined))

    undefined: ClassVar[str] = "the image has no evidence mask for its target"

    @abstractmethod
    def against(self, mask: Evidence, maps: Maps, seeds: Seeds) -> PerImage:
        """Score maps against masks; what it gives for an empty mask is not used."""


@dataclass(frozen=True)
class PixelMetric(MapMetric):
    """Scores maps by the model's score as pixels are replaced, or restored, in their order.

    At step k = 0..S, round(k / S x HW) pixels are gone (or back), all channels together, both ends
    in; areas are the trapezoid over the true fractions. Ties go in the image's own random order,
    so a constant map scores as a random one.
    """

    conventions: ClassVar[Mapping[str, str]] = {"ties": "seeded"}

    steps: Annotated[int, Field(ge=2)] = 100
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def check(self, size: tuple[int, int]) -> None:
        check_steps(self.steps, size)

    def curve(
        self,
        model: Classifier,
        batch: Batch,
        maps: Maps,
        *,
        restores: bool = False,
        least_first: bool = False,
    ) -> Curve:
        """Return the score over the fraction of pixels; passes as ``cost`` says."""
        counts = self.counts(batch)
        asked = {"fill": self.fill, "space": self.space, "least_first": least_first}
        y = removal_curve(model, batch, maps, counts, insert=restores, **asked)
        return Curve((counts / maps[0].numel()).expand_as(y), y)

    def counts(self, batch: Batch) -> Counts:
        """Return the number of pixels that are gone, or back, at each step."""
        return step_counts(self.steps, batch.images[0, 0].numel(), batch.images.device)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        """Return the passes of one curve: S - 1 an image, fewer where it has fewer pixels."""
        return PassCount((len(self.counts(batch)) - 2) * len(batch))


@dataclass(frozen=True)
class RemovalMetric(PixelMetric):
    """Area under the score as pixels are replaced, or restored, the most relevant first.

    ``order: lerf``: the least relevant first, in reverse; the other direction is better then.
    """

    restores: ClassVar[bool]
    """Whether pixels come back instead of going."""
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    order: Literal["morf", "lerf"] = "morf"

    @property
    def higher_is_better(self) -> bool:
        """Relevant pixels that stay, or come, keep the score high."""
        return self.restores == (self.order == "morf")

    def definition(self) -> dict[str, object]:
        # The usual order has never been said, and its ids stay what they are.
        return super().definition() | {"order": "lerf" if self.order == "lerf" else None}

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        least_first = self.order == "lerf"
        curve = self.curve(model, batch, maps, restores=self.restores, least_first=least_first)
        name = f"{self.name}@lerf" if least_first else self.name
        return Scores({self.name: trapezoid(curve.y, curve.x)}, {name: curve})
