"""One cell of work: explain a block of images, score its maps, and say so row by row."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaibench.config import plugin_parameters
from xaibench.errors import PluginError, UserError
from xaibench.explainers.base import Explainer, Explanation
from xaibench.memory import peak_memory
from xaibench.metrics.base import (
    Curve,
    ImageMetric,
    MapMetric,
    Metric,
    PredictionMetric,
    Scores,
    TwinMetric,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.results import Cell, CellResult
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


_OUTCOMES = {
    "ok": Outcome("ok"),
    "constant": Outcome("constant", "the map is constant: its ties go in random order"),
    "nan": Outcome("nan", "the map has values that are not finite"),
}


def score_cell(
    cell: Cell,
    explainer: Explainer,
    metrics: Mapping[str, MapMetric | TwinMetric],
    model: Classifier,
    block: Block,
    segments: str,
    twin: Classifier | None = None,
) -> CellResult:
    """Explain a block, score its maps by every metric, and return the rows.

    Args:
        segments: id of the run's superpixels, for the protocols.
        twin: the model trained on permuted labels, where a metric compares with it.
    """
    with peak_memory(model.device) as explaining:
        explanation, outcomes = explain(explainer, model, block.batch)
    before, begun = _passes(model, twin), time.perf_counter()
    at = [i for i, outcome in enumerate(outcomes) if outcome.scored]
    # Metrics see finite maps only. The block itself where nothing failed: its scores are shared.
    whole = len(at) == len(block.batch)
    scored = block.batch if whole else block.batch.take(at)
    maps = explanation.maps[at]
    said = plugin_parameters(explainer) | explainer.facts(model)
    about = {
        "explainer": cell.explainer,
        "params": json.dumps(said, sort_keys=True),
        "control": explainer.control,
        "forward_passes": explanation.passes.forward / len(block.batch),
        "backward_passes": explanation.passes.backward / len(block.batch),
    }
    scores, curves = [], []
    with peak_memory(model.device) as scoring:
        for label, metric in metrics.items():
            if not at:
                result = Scores({})
            elif isinstance(metric, TwinMetric):
                its_maps, _ = explain(explainer, twin, scored)
                result = metric.compare(maps, its_maps.maps)
            else:
                result = _score(metric, model, scored, maps)
            scores += _score_rows(metric, label, result, block, outcomes, about, segments)
            curves += _curve_rows(result, block, at, cell.explainer, label)
    passes = _passes(model, twin).since(before)
    timing = {
        "run": block.rows[0]["run"],
        "explainer": cell.explainer,
        "block": cell.block,
        "images": len(block.batch),
        "explain_seconds": explanation.seconds,
        "explain_peak_bytes": explaining.bytes,
        "explain_forward": explanation.passes.forward,
        "explain_backward": explanation.passes.backward,
        "score_seconds": time.perf_counter() - begun,
        "score_peak_bytes": scoring.bytes,
        "score_forward": passes.forward,
        "score_backward": passes.backward,
    }
    return CellResult(scores, curves, timing, explanation.maps.cpu().numpy())


def score_images(
    cell: Cell,
    metrics: Mapping[str, ImageMetric],
    model: Classifier,
    block: Block,
    segments: str,
) -> CellResult:
    """Score a block's images by every metric that needs no map; keep their superpixels."""
    before, begun = _passes(model), time.perf_counter()
    scores = []
    with peak_memory(model.device) as scoring:
        for label, metric in metrics.items():
            with model.as_found():
                result = metric.score_images(model, block.batch)
            about = {"params": json.dumps(plugin_parameters(metric), sort_keys=True)}
            outcomes = [_OUTCOMES["ok"]] * len(block.batch)
            scores += _score_rows(metric, label, result, block, outcomes, about, segments)
    passes = _passes(model).since(before)
    timing = {
        "run": block.rows[0]["run"],
        "block": cell.block,
        "images": len(block.batch),
        "score_seconds": time.perf_counter() - begun,
        "score_peak_bytes": scoring.bytes,
        "score_forward": passes.forward,
        "score_backward": passes.backward,
    }
    superpixels = block.batch.segments.cpu().numpy().astype(np.int32)
    return CellResult(scores, [], timing, maps=None, segments=superpixels)


def _passes(*models: Classifier | None) -> PassCount:
    """Return the passes of a model and of its twin, where there is one."""
    counts = [m.passes for m in models if m is not None]
    return PassCount(sum(c.forward for c in counts), sum(c.backward for c in counts))


def _score_rows(
    metric: MapMetric | TwinMetric | ImageMetric,
    label: str,
    result: Scores,
    block: Block,
    outcomes: Sequence[Outcome],
    about: Mapping[str, object],
    segments: str,
) -> list[dict[str, object]]:
    """Return a row an image and value; ``about`` is what is the same in all of them."""
    at = [i for i, outcome in enumerate(outcomes) if outcome.scored]
    _check_names(metric, result, block.batch, at)
    rows = []
    for name in metric.value_names(tuple(block.batch.masks)):
        shared = about | {
            "metric": _labelled(name, metric, label),
            "protocol": metric.protocol(name, segments),
            "higher_is_better": metric.higher_is_better,
        }
        values = _spread(result, name, at, len(block.batch))
        rows += [
            dict(row) | shared | _verdict(value, outcome, result, name)
            for row, value, outcome in zip(block.rows, values, outcomes, strict=True)
        ]
    return rows


def explain(
    explainer: Explainer, model: Classifier, batch: Batch
) -> tuple[Explanation, list[Outcome]]:
    """Return the maps and what became of each; an image that fails alone fails alone."""
    try:
        explanation = explainer(model, batch)
    except (UserError, PluginError):  # the user's or the plugin's mistake: every image would fail
        raise
    except Exception as error:
        if len(batch) == 1:
            height, width = batch.images.shape[2:]
            nothing = torch.full((1, height, width), torch.nan, device=batch.images.device)
            failed = Outcome("failed", f"{type(error).__name__}: {error}")
            return Explanation(nothing, ("nan",), PassCount(), 0.0), [failed]
        return _joined([explain(explainer, model, part) for part in batch.split(1)])
    return explanation, [_OUTCOMES[status] for status in explanation.statuses]


def _joined(
    parts: Iterable[tuple[Explanation, list[Outcome]]],
) -> tuple[Explanation, list[Outcome]]:
    parts = list(parts)
    each = [explanation for explanation, _ in parts]
    passes = PassCount(sum(e.passes.forward for e in each), sum(e.passes.backward for e in each))
    statuses = tuple(s for e in each for s in e.statuses)
    maps = torch.cat([e.maps for e in each])
    joined = Explanation(maps, statuses, passes, sum(e.seconds for e in each))
    return joined, [outcome for _, outcomes in parts for outcome in outcomes]


def _score(metric: MapMetric, model: Classifier, batch: Batch, maps: Tensor) -> Scores:
    with model.as_found():
        return metric.score(model, batch, maps)


def _check_names(
    metric: MapMetric | TwinMetric | ImageMetric, scores: Scores, batch: Batch, at: list[int]
) -> None:
    wanted = metric.value_names(tuple(batch.masks)) if at else []
    if sorted(scores.values) != sorted(wanted):
        raise PluginError(f"{metric.name}: scores {sorted(scores.values)}, promised {wanted}")
    for name, values in scores.values.items():
        if values.shape != (len(at),):
            raise PluginError(f"{name}: shape {tuple(values.shape)}, must be ({len(at)},)")


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


def _curve_rows(
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


def score_predictions(
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
