"""A coarse search over a config's values: every combination trained, one table kept."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from xaibench.atomic import check_writable, replacing
from xaibench.config.contradictions import check_task
from xaibench.config.reading import load_config
from xaibench.config.run_config import RunConfig
from xaibench.engine.device import choose_device, reproducible
from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.runs.fitting import Workplace, fitted_models
from xaibench.store.schema import SEED

Points = list[dict[str, object]]


def grid_points(axes: Sequence[str]) -> Points:
    """Return every combination of the axes' values; one empty point without any axis.

    Args:
        axes: ``a.b=[value, value]`` each, the key as in ``--set``, the values as YAML.
    """
    values: dict[str, list[object]] = {}
    for axis in axes:
        key, equals, text = axis.partition("=")
        try:
            listed = yaml.safe_load(text) if equals else None
        except yaml.YAMLError:
            listed = None
        if not isinstance(listed, list) or not listed or key in values:
            raise UserError(f"--grid {axis}: must read a.b=[value, value], each key once")
        values[key] = listed
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def search(
    path: Path, overrides: Sequence[str], points: Points, out: Path, progress: Progress
) -> tuple[pd.DataFrame, Path]:
    """Train the config at every point, and keep the table after each.

    What was trained before is loaded, so that a search that was stopped goes on where it was.

    Args:
        path, overrides: the config and its ``--set``; each point is laid over them.
        points: see ``grid_points``.
        out: the checkpoints lie in ``out / "cache"``, the table in ``out / NAME / "grid.csv"``.

    Returns:
        A row for each point, training seed and label (``label`` is empty where one model is for
        all), in the order of training: the point's values, training_seed, label, monitor, its best
        value and epoch, steps taken by this call, seconds, and the checkpoint's key; and the
        table's file.
    """
    # All of them before any training: a mistake in the last point must not cost the others.
    configs = [load_config(path, [*overrides, *settings(point)]) for point in points]
    check_writable(out / configs[0].name, "--out")
    table = out / configs[0].name / "grid.csv"
    rows: list[dict[str, object]] = []
    with progress.stage("Grid", len(points)) as advance:
        for point, config in zip(points, configs, strict=True):
            progress.say(f"Grid: {' '.join(settings(point)) or 'the config as it is'}")
            rows += [point | row for row in _train(config, out, progress)]
            with replacing(table) as file:
                pd.DataFrame(rows).to_csv(file, index=False)
            advance(1)
    return pd.DataFrame(rows), table


def best_point(table: pd.DataFrame, points: Points, monitor: str) -> dict[str, object]:
    """Return the point whose mean over training seeds and labels is best; the first of equals.

    A point with a model that gave no figure is worth nothing: its mean would be over fewer.
    """
    keys = list(points[0])
    if not keys:
        return {}
    # As text, so that a list or a null is a value like any other.
    named = table.assign(**{key: table[key].astype(str) for key in keys})
    means = named.groupby(keys, sort=False)["best_value"].agg(lambda v: v.mean(skipna=False))
    if means.isna().all():
        raise UserError(f"no point of the grid gave a validation {monitor}; look at its table")
    at = means.argmin() if monitor == "loss" else means.argmax()
    return points[int(at)]


def settings(point: Mapping[str, object]) -> list[str]:
    """Return a point as the words of ``--set``."""
    as_yaml = lambda value: yaml.safe_dump(value, default_flow_style=True, width=1000)
    return [f"{key}={as_yaml(value).splitlines()[0]}" for key, value in point.items()]


def _train(config: RunConfig, out: Path, progress: Progress) -> list[dict[str, object]]:
    place = Workplace(choose_device(config.device), out / "cache", progress)
    begun = time.monotonic()
    with reproducible(config.seed):
        data = config.dataset.open(seed=config.seed, cache=place.cache, progress=progress)
        check_task(config, data.task, len(data.classes))
        fitted = fitted_models(config, data, place)
    return [
        {
            SEED: each.seed,
            "label": each.label,
            "monitor": config.training.monitor,
            "best_value": each.trained.best_value,
            "best_epoch": each.trained.best_epoch,
            "trained_steps": each.trained.trained_steps,
            "seconds": round((time.monotonic() - begun) / len(fitted), 1),
            "checkpoint": each.trained.key[:16],
        }
        for each in fitted
    ]
