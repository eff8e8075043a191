"""Rows of the tables: what a metric said of each image, and why it may have said nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.engine import Batch
from xaibench.metrics.base import (
    ComparisonMetric,
    Curve,
    ImageMetric,
    MapMetric,
    Metric,
    PredictionMetric,
    Scores,
)
from xaibench.store.schema import SEED
from xaibench.types import Precision

Row = dict[str, object]


@dataclass(frozen=True)
class Block:
    """A batch with what every row of it says.

    Attributes:
        rows: one an image: run, dataset, split, model, training_seed, image, group, label, target,
            p_target.
    """

    batch: Batch
    rows: tuple[Mapping[str, object], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one image's map: a status, and why it has no score."""

    status: str
    reason: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Outcome:
        """Return the outcome of a plugin's own error."""
        return cls("failed", f"{type(error).__name__}: {error}")

    @property
    def scored(self) -> bool:
        return self.status in ("ok", "constant")


OUTCOMES = {
    "ok": Outcome("ok"),
    "constant": Outcome("constant", "the map is constant: its ties go in random order"),
    "nan": Outcome("nan", "the map has values that are not finite"),
}


@dataclass(frozen=True)
class RunMetric:
    """A metric as the rows of a run name it.

    Attributes:
        label: its name in the config.
        segments: id of the run's superpixels.
        precision: of the run's passes.
    """

    metric: MapMetric | ComparisonMetric | ImageMetric | PredictionMetric
    label: str
    segments: str
    precision: Precision

    def protocols(self, masks: Collection[str]) -> dict[str, str]:
        """Return the names of its values, for a data set with these masks, and their protocols."""
        if isinstance(self.metric, PredictionMetric):
            return {self.metric.name: self.metric.protocol(self.metric.name, self.segments)}
        names = self.metric.value_names(tuple(masks))
        return {n: self.metric.protocol(n, self.segments, self.precision) for n in names}

    def rows(
        self, result: Scores, block: Block, outcomes: Sequence[Outcome], about: Mapping[str, object]
    ) -> list[Row]:
        """Return a row an image and value; ``about`` is what is the same in all of them."""
        at = [i for i, outcome in enumerate(outcomes) if outcome.scored]
        rows = []
        for name, protocol in self.protocols(block.batch.masks).items():
            low, high = self.metric.value_bounds(name)
            shared = about | {
                "metric": labelled(self.label, self.metric, name),
                "protocol": protocol,
                "higher_is_better": self.metric.direction(name),
                "bound_low": low,
                "bound_high": high,
            }
            values = _spread(result, name, at, len(block.batch))
            rows += [
                dict(row) | shared | _verdict(value, outcome, result, name)
                for row, value, outcome in zip(block.rows, values, outcomes, strict=True)
            ]
        return rows


def labelled(label: str, metric: Metric, name: str) -> str:
    """Return a value's name with the label in the config in place of the metric's own name."""
    return label + name.removeprefix(metric.name) if name.startswith(metric.name) else name


def _spread(result: Scores, name: str, at: list[int], count: int) -> list[float]:
    """Return one value an image of the block, NaN where its map was not scored."""
    values = [float("nan")] * count
    for i, value in zip(at, result.values[name].tolist() if at else [], strict=True):
        values[i] = value
    return values


def _verdict(value: float, outcome: Outcome, result: Scores, name: str) -> Row:
    if outcome.scored and not np.isfinite(value):
        undefined = result.undefined.get(name)
        outcome = (
            Outcome("undefined", undefined) if undefined else Outcome("nan", "the score is NaN")
        )
        value = float("nan")
    return {"value": value, "status": outcome.status, "reason": outcome.reason}


def curve_rows(
    result: Scores, block: Block, at: list[int], explainer: str, metric: str
) -> list[Row]:
    rows = []
    for name, curve in result.curves.items():
        for i, (x, y) in zip(at, _points(curve), strict=True):
            row = {k: block.rows[i][k] for k in ("run", SEED, "image", "target")}
            rows.append(
                row | {"explainer": explainer, "metric": metric, "curve": name, "x": x, "y": y}
            )
    return rows


def _points(curve: Curve) -> list[tuple[list[float], list[float]]]:
    """Return each image's own points, without the padding behind them."""
    counts = curve.x.isfinite().sum(1).tolist()
    rows = zip(curve.x.tolist(), curve.y.tolist(), counts, strict=True)
    return [(x[:n], y[:n]) for x, y, n in rows]
