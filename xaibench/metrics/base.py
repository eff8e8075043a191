"""The contract of a metric: a number an image and map, or a number for the model alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from pydantic import ConfigDict
from torch import Tensor

from xaibench.models.base import Classifier
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
    conventions: ClassVar[Mapping[str, str]] = {}
    """What the definition fixes beyond the parameters, for the protocol id."""
    uses_segments: ClassVar[bool] = False
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    def protocol(self, value_name: str, segments: str) -> str:
        """Return the id of the exact definition, such as ``deletion[fill=black,steps=100]``.

        Args:
            value_name: the metric's name, or ``metric@variant``.
            segments: id of the run's superpixels, part of the protocol of a metric that uses them.
        """
        said = {f.name: getattr(self, f.name) for f in fields(self)} | dict(self.conventions)
        if self.uses_segments:
            said["segments"] = segments
        said["score"] = said.pop("space", None)
        shown = ",".join(f"{k}={v}" for k, v in sorted(said.items()) if v is not None)
        return f"{value_name}[{shown}]"


NO_EVIDENCE = "the image has no evidence mask for its target"


def nan_without_evidence(
    values: Float[Tensor, " batch"], mask: Bool[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Return the values, NaN where the mask is empty."""
    return values.where(mask.flatten(1).any(1), torch.nan)


class MapMetric(Metric):
    """Scores relevance maps, one number an image."""

    @abstractmethod
    def score(
        self, model: Classifier, batch: Batch, maps: Float[Tensor, "batch height width"]
    ) -> Scores:
        """Score finite maps of a batch."""


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
