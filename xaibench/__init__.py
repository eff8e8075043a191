"""xaibench: benchmark explanations of medical image classifiers.

The names that a plugin needs, imported when they are first asked for, so that ``import xaibench``
needs no torch.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "Batch": "types",
    "Classifier": "models.base",
    "Data": "datasets.base",
    "Dataset": "datasets.base",
    "Explainer": "explainers.base",
    "ImageMetric": "metrics.base",
    "LocalisationMetric": "metrics.base",
    "MapMetric": "metrics.base",
    "Model": "models.base",
    "PredictionMetric": "metrics.base",
    "Registry": "registry",
    "Scores": "metrics.base",
    "Split": "datasets.base",
    "UserError": "errors",
    "register": "registry",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"xaibench has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"xaibench.{_HOMES[name]}"), name)
