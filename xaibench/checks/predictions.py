"""Does a metric of predictions keep its contract?"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from xaibench.checks import surroundings
from xaibench.checks.check import Check
from xaibench.metrics.base import PredictionMetric
from xaibench.types import Task

_IMAGES = 60
_CLASSES: dict[Task, int] = {"binary": 2, "multiclass": 16, "multilabel": 4, "regression": 3}


def prediction_checks(metric: PredictionMetric) -> list[Check]:
    """Return the checks of a metric of predictions, on seeded ones of every task."""
    checks = []
    for task in _CLASSES:
        for promise, act in {
            "gives numbers by name": _gives_numbers,
            "gives the same twice": _repeats,
            "leaves labels and predictions as found": _leaves_arrays,
        }.items():
            checks.append(Check(promise, partial(act, metric, task), task))
    checks += [
        Check(promise, partial(_leaves_as_found, metric, promise))
        for promise in surroundings.PROMISES
    ]
    return checks


def _predictions(task: Task) -> tuple[np.ndarray, np.ndarray]:
    rng, classes = np.random.default_rng(0), _CLASSES[task]
    logits = rng.normal(size=(_IMAGES, classes))
    if task == "regression":
        return logits + rng.normal(size=logits.shape), logits
    if task == "multilabel":
        return (logits + rng.normal(size=logits.shape) > 0).astype(float), 1 / (1 + np.exp(-logits))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return (logits + rng.normal(size=logits.shape)).argmax(1), probabilities


def _scored(metric: PredictionMetric, task: Task) -> dict[str, float]:
    labels, probabilities = _predictions(task)
    with surroundings.kept():
        return metric.score_predictions(labels, probabilities, task=task, seed=0)


def _gives_numbers(metric: PredictionMetric, task: Task) -> str | None:
    found = _scored(metric, task)
    if not found:
        return "gives nothing; NaN where there is no value"
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, float):
            return f"{name!r}: {value!r}, must be a name and a float"
        low, high = metric.value_bounds(name)
        if not math.isnan(value) and not low <= value <= high:
            return f"{name} is {value:.4g}, outside [{low}, {high}]"
    return None


def _repeats(metric: PredictionMetric, task: Task) -> str | None:
    one, other = _scored(metric, task), _scored(metric, task)
    same = one.keys() == other.keys() and np.array_equal(
        list(one.values()), list(other.values()), equal_nan=True
    )
    return None if same else "the same seed gives other numbers; draw from default_rng(seed)"


def _leaves_arrays(metric: PredictionMetric, task: Task) -> str | None:
    labels, probabilities = _predictions(task)
    metric.score_predictions(labels, probabilities, task=task, seed=0)
    for name, now, was in zip(
        ("labels", "probabilities"), (labels, probabilities), _predictions(task), strict=True
    ):
        if not np.array_equal(now, was):
            return f"{name} were changed in place; work on a copy"
    return None


def _leaves_as_found(metric: PredictionMetric, promise: str) -> str | None:
    _scored(metric, "binary")  # what is done once, at the first call, is done
    return surroundings.changes(lambda: _scored_bare(metric)).get(promise)


def _scored_bare(metric: PredictionMetric) -> dict[str, float]:
    labels, probabilities = _predictions("binary")
    return metric.score_predictions(labels, probabilities, task="binary", seed=0)
