"""xaibench: benchmark explanations of medical image classifiers.

For a notebook::

    import xaibench
    config = xaibench.load_config("configs/tiny.yaml")
    folder = xaibench.run(config)
    xaibench.leaderboard(folder)

The names are imported when they are first asked for, so that ``import xaibench`` needs no torch.
"""

from __future__ import annotations

import importlib
import os

__version__ = "0.1.0"

# PyTorch's threads on a CPU would wait for their next piece of work by spinning for milliseconds,
# on the cores of a compiled pass: measured a tenth of its time. It is read when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_HOMES = {
    "Batch": "engine.batch",
    "Classifier": "models.base",
    "ComparisonMetric": "metrics.base",
    "Data": "types",
    "Dataset": "datasets.base",
    "Explainer": "explainers.base",
    "ImageMetric": "metrics.base",
    "LocalisationMetric": "metrics.base",
    "MapMetric": "metrics.base",
    "Metric": "metrics.base",
    "Model": "models.base",
    "PassCount": "models.base",
    "PredictionMetric": "metrics.base",
    "Registry": "registry",
    "Scores": "metrics.base",
    "Split": "types",
    "TokenGrid": "networks.tokens",
    "UserError": "errors",
    "checks_for": "checks.plugins",
    "head_for": "models.base",
    "leaderboard": "leaderboards.board",
    "load_config": "config.reading",
    "register": "registry",
    "run": "runs.story",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"xaibench has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"xaibench.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
