"""Rows of the tables: what a metric said of each image, and why it may have said nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.errors import PluginError
from xaibench.metrics.base import (
    Curve,
    ImageMetric,
    MapMetric,
    Metric,
    PredictionMetric,
    Scores,
    TwinMetric,
)
from xaibench.precision import Precision
from xaibench.types import Batch, Task


@dataclass(frozen=True)
class Block:
    """A batch with what every row of it says.

    Attributes:
        rows: one an image: run, dataset, split, model, image, group, label, target, p_target.
    """

    batch: Batch
    rows: tuple[Mapping[str, object], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one image's map: a status, and why it has no score."""

    status: str
    reason: str | None = None

    @property
    def scored(self) -> bool:
        return self.status in ("ok", "constant")


OUTCOMES = {
    "ok": Outcome("ok"),
    "constant": Outcome("constant", "the map is constant: its ties go in random order"),
    "nan": Outcome("nan", "the map has values that are not finite"),
}


def score_rows(
    metric: MapMetric | TwinMetric | ImageMetric,
    label: str,
    result: Scores,
    block: Block,
    outcomes: Sequence[Outcome],
    about: Mapping[str, object],
    segments: str,
    precision: Precision,
) -> list[dict[str, object]]:
    """Return a row an image and value; ``about`` is what is the same in all of them."""
    at = [i for i, outcome in enumerate(outcomes) if outcome.scored]
    rows = []
    for name in metric.value_names(tuple(block.batch.masks)):
        shared = about | {
            "metric": _labelled(name, metric, label),
            "protocol": metric.protocol(name, segments, precision),
            "higher_is_better": metric.higher_is_better,
        }
        values = _spread(result, name, at, len(block.batch))
        rows += [
            dict(row) | shared | _verdict(value, outcome, result, name)
            for row, value, outcome in zip(block.rows, values, outcomes, strict=True)
        ]
    return rows


def check_promises(
    metric: MapMetric | TwinMetric | ImageMetric, scores: Scores, batch: Batch
) -> None:
    """Raise PluginError where a metric gives other names or shapes than it promised."""
    wanted = metric.value_names(tuple(batch.masks))
    if sorted(scores.values) != sorted(wanted):
        raise PluginError(f"{metric.name}: scores {sorted(scores.values)}, promised {wanted}")
    for name, values in scores.values.items():
        if values.shape != (len(batch),):
            raise PluginError(f"{name}: shape {tuple(values.shape)}, must be ({len(batch)},)")


def _labelled(name: str, metric: Metric, label: str) -> str:
    """Return a value's name with the metric's label in the config in place of its own."""
    return label + name.removeprefix(metric.name)


def _spread(result: Scores, name: str, at: list[int], count: int) -> list[float]:
    """Return one value an image of the block, NaN where its map was not scored."""
    values = [float("nan")] * count
    for i, value in zip(at, result.values[name].tolist() if at else [], strict=True):
        values[i] = value
    return values


def _verdict(value: float, outcome: Outcome, result: Scores, name: str) -> dict[str, object]:
    if outcome.scored and not np.isfinite(value):
        undefined = result.undefined.get(name)
        outcome = (
            Outcome("undefined", undefined) if undefined else Outcome("nan", "the score is NaN")
        )
        value = float("nan")
    return {"value": value, "status": outcome.status, "reason": outcome.reason}


def curve_rows(
    result: Scores, block: Block, at: list[int], explainer: str, metric: str
) -> list[dict[str, object]]:
    rows = []
    for name, curve in result.curves.items():
        for i, (x, y) in zip(at, _points(curve), strict=True):
            row = {k: block.rows[i][k] for k in ("run", "image", "target")}
            rows.append(
                row | {"explainer": explainer, "metric": metric, "curve": name, "x": x, "y": y}
            )
    return rows


def _points(curve: Curve) -> list[tuple[list[float], list[float]]]:
    """Return each image's own points, without the padding behind them."""
    counts = curve.x.isfinite().sum(1).tolist()
    rows = zip(curve.x.tolist(), curve.y.tolist(), counts, strict=True)
    return [(x[:n], y[:n]) for x, y, n in rows]


def prediction_rows(
    metrics: Mapping[str, PredictionMetric],
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    task: Task,
    seed: int,
    about: Mapping[str, object],
) -> list[dict[str, object]]:
    """Return rows about the model alone, over a whole split.

    Args:
        about: what is the same in every row: run, dataset, split, model.
    """
    rows = []
    for metric in metrics.values():
        values = metric.score_predictions(labels, probabilities, task=task, seed=seed)
        for name, value in values.items():
            known = bool(np.isfinite(value))
            rows.append(
                dict(about)
                | {
                    "metric": name,
                    "protocol": metric.protocol(name, ""),
                    "higher_is_better": metric.higher_is_better,
                    "value": value,
                    "status": "ok" if known else "undefined",
                    "reason": None if known else "needs images of at least two labels",
                }
            )
    return rows
