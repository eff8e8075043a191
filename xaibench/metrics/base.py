"""The contract of a metric: a number an image and map, or a number for the model alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from pydantic import ConfigDict
from torch import Tensor

from xaibench.models.base import Classifier
from xaibench.precision import Precision
from xaibench.types import Batch, Task


@dataclass(frozen=True)
class Curve:
    """The points of each image's curve; NaN behind an image's own number of points."""

    x: Float[Tensor, "batch step"]
    y: Float[Tensor, "batch step"]


@dataclass(frozen=True)
class Scores:
    """What a metric says of a batch of maps.

    Attributes:
        values: name -> one number an image, NaN where the metric has no value. The name is the
            metric's own, or ``metric@variant`` (a mask, an abscissa).
        curves: name -> curve, where the metric has them.
        undefined: name -> why a value may be NaN.
    """

    values: Mapping[str, Float[Tensor, " batch"]]
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
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    def check(self, size: tuple[int, int]) -> None:
        """Raise UserError where images of (height, width) are not for it; runs before training."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value for these parameters: logits have none."""
        unbounded = getattr(self, "space", "prob") == "logit"
        return (-math.inf, math.inf) if unbounded else self.range

    def protocol(self, value_name: str, segments: str, precision: Precision = "fp32") -> str:
        """Return the id of the exact definition, such as ``deletion[fill=black,steps=100]``.

        Args:
            value_name: the metric's name, or ``metric@variant``.
            segments: id of the run's superpixels, part of the protocol of a metric that uses them.
            precision: of the engine's passes, for maps and scores alike; said where it is not fp32.
        """
        said = {f.name: getattr(self, f.name) for f in fields(self)} | dict(self.conventions)
        if self.uses_segments:
            said["segments"] = segments
        said["score"] = said.pop("space", None)
        said["precision"] = None if precision == "fp32" else precision
        shown = ",".join(f"{k}={v}" for k, v in sorted(said.items()) if v is not None)
        return f"{value_name}[{shown}]"


class MapMetric(Metric):
    """Scores relevance maps, one number an image."""

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        """Return the names of the values that ``score`` gives, for a data set with these masks."""
        return [self.name]

    @abstractmethod
    def score(
        self, model: Classifier, batch: Batch, maps: Float[Tensor, "batch height width"]
    ) -> Scores:
        """Score finite maps of a batch."""


class ImageMetric(Metric):
    """Scores the model on images without any map, once for each image and target; has no curves."""

    @abstractmethod
    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        """Return the names of the values that ``score_images`` gives."""

    @abstractmethod
    def score_images(self, model: Classifier, batch: Batch) -> Scores:
        """Score the images of a batch."""


class PredictionMetric(Metric):
    """Scores the model's predictions alone, once a run."""

    @abstractmethod
    def score_predictions(
        self,
        labels: Shaped[np.ndarray, "n *labels"],
        probabilities: Float[np.ndarray, "n classes"],
        *,
        task: Task,
        seed: int,
    ) -> dict[str, float]:
        """Return name -> number over the whole split."""


class TwinMetric(Metric):
    """Compares a model's maps with those of its twin, trained on permuted labels."""

    @abstractmethod
    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        """Return the names of the values that ``compare`` gives."""

    @abstractmethod
    def compare(
        self,
        maps: Float[Tensor, "batch height width"],
        twin: Float[Tensor, "batch height width"],
    ) -> Scores:
        """Compare finite maps of the same images and targets."""


class LocalisationMetric(MapMetric):
    """Scores maps against each mask of the data set: a value ``name@mask`` for each."""

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return [f"{self.name}@{mask}" for mask in masks]

    def score(
        self, model: Classifier, batch: Batch, maps: Float[Tensor, "batch height width"]
    ) -> Scores:
        values = {}
        for name, mask in batch.masks.items():
            value = self.against(mask, maps, batch.seeds)
            # An empty mask is no evidence of absence: there is nothing to be found.
            values[f"{self.name}@{name}"] = value.where(mask.flatten(1).any(1), torch.nan)
        return Scores(values, undefined=dict.fromkeys(values, self.undefined))

    undefined: ClassVar[str] = "the image has no evidence mask for its target"

    @abstractmethod
    def against(
        self,
        mask: Bool[Tensor, "batch height width"],
        maps: Float[Tensor, "batch height width"],
        seeds: Int[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        """Score maps against masks; what it gives for an empty mask is not used."""
