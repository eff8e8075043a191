"""The manifest: what a result was made of and by."""

from __future__ import annotations

import math

import numpy as np
import torch

from xaibench.config import RunConfig, plugin_parameters
from xaibench.datasets.base import Data
from xaibench.metrics.base import PredictionMetric
from xaibench.models.base import Classifier
from xaibench.provenance import environment
from xaibench.training.loop import Trained


def describe(
    config: RunConfig,
    data: Data,
    model: Classifier,
    trained: Trained,
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
        protocols |= {n: metric.protocol(n, config.segments.id) for n in names}
    return {
        "name": config.name,
        "run": run_id,
        "seed": config.seed,
        "dataset": {"name": data.name, "checksum": data.checksum, **data.facts},
        "model": {
            **plugin_parameters(config.model),
            "weights_used": model.weights,
            "head": model.head,
            "checkpoint": trained.key,
            "best_epoch": trained.best_epoch,
            # NaN is no JSON.
            f"best_{config.training.monitor}": (
                trained.best_value if math.isfinite(trained.best_value) else None
            ),
        },
        "training": config.training.model_dump(mode="json"),
        "explainers": {
            k: plugin_parameters(e) | e.facts(model) for k, e in config.explainers.items()
        },
        "protocols": protocols,
        "environment": environment(device),
    }
