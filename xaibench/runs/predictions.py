"""Rows about the model alone, over a whole split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from xaibench.errors import PluginError, UserError
from xaibench.metrics.base import PredictionMetric
from xaibench.runs.limits import Watch
from xaibench.runs.rows import Outcome, Row, labelled
from xaibench.store.schema import SEED
from xaibench.types import Task


def prediction_rows(
    metrics: Mapping[str, PredictionMetric],
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    task: Task,
    seed: int,
    about: Mapping[str, object],
    watch: Watch,
) -> list[Row]:
    """Return rows about the model alone, over a whole split.

    Args:
        about: what is the same in every row: run, dataset, split, model, training_seed.
    """
    rows, told = [], set()
    for label, metric in metrics.items():
        score = partial(metric.score_predictions, labels, probabilities, task=task, seed=seed)
        values, failed = _attempted(label, metric, score, about, watch)
        for name, value in values.items():
            if (named := labelled(label, metric, name)) in told:
                continue  # such as the AUROC, which every row of a grid gives
            told.add(named)
            low, high = metric.value_bounds(name)
            known = bool(np.isfinite(value))
            own = {
                "metric": named,
                "protocol": metric.protocol(name, ""),
                "higher_is_better": metric.direction(name),
                "bound_low": low,
                "bound_high": high,
                "value": value,
                "status": "ok" if known else "undefined",
                "reason": None if known else "needs images of at least two labels",
            }
            if failed:
                own |= {"status": failed.status, "reason": failed.reason}
            rows.append(dict(about) | own)
    return rows


def _attempted(
    label: str,
    metric: PredictionMetric,
    score: Callable[[], dict[str, float]],
    about: Mapping[str, object],
    watch: Watch,
) -> tuple[dict[str, float], Outcome | None]:
    """Return a metric's values; where it failed one without a number, and what became of it."""
    try:
        values = watch.attempt(f"metric {label} of training seed {about[SEED]}", score)
    except (UserError, PluginError):
        raise
    except (Exception, SystemExit) as error:
        values = Outcome.of(error)
    failed = isinstance(values, Outcome)
    return ({metric.name: float("nan")}, values) if failed else (values, None)
