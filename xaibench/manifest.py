"""The manifest: what a result was made of and by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from xaibench.config import RunConfig, plugin_parameters
from xaibench.datasets.base import Data
from xaibench.fitting import Fitted
from xaibench.metrics.base import PredictionMetric
from xaibench.provenance import environment


def describe(
    config: RunConfig,
    data: Data,
    fitted: Sequence[Fitted],
    run_id: str,
    device: torch.device,
) -> dict[str, object]:
    """Return the manifest: what this result was made of and by."""
    split = data.splits[config.images.split]
    masks = split.masks(np.arange(1), np.zeros(1, dtype=int))
    protocols = {}
    for metric in config.metrics.values():
        alone = isinstance(metric, PredictionMetric)
        names = [metric.name] if alone else metric.value_names(tuple(masks))
        precision = "fp32" if alone else config.precision
        protocols |= {n: metric.protocol(n, config.segments.id, precision) for n in names}
    model = fitted[0].model
    trained = {each.label: _trained(each, config.training.monitor) for each in fitted}
    trained = trained.get(None, {"labels": trained})
    return {
        "name": config.name,
        "run": run_id,
        "seed": config.seed,
        "dataset": {"name": data.name, "checksum": data.checksum, **data.facts},
        "model": {
            **plugin_parameters(config.model),
            "weights_used": model.weights,
            "head": model.head,
            **trained,
        },
        "training": config.training.model_dump(mode="json"),
        "explainers": {
            k: plugin_parameters(e) | e.facts(model) for k, e in config.explainers.items()
        },
        "protocols": protocols,
        "engine": {
            "precision": config.precision,
            "tf32": False,  # see device.reproducible
            "acceleration": config.acceleration,
            "batch_size": model.batch_size,
        },
        "environment": environment(device),
    }


def _trained(fitted: Fitted, monitor: str) -> dict[str, object]:
    best = fitted.trained.best_value
    return {
        "checkpoint": fitted.trained.key,
        "best_epoch": fitted.trained.best_epoch,
        # NaN is no JSON.
        f"best_{monitor}": best if math.isfinite(best) else None,
    }
