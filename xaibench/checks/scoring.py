"""What a metric says of maps and of itself, of whichever kind it is."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from xaibench.checks.stage import Stage
from xaibench.engine import Batch
from xaibench.metrics.base import ComparisonMetric, ImageMetric, MapMetric, Metric, Scores
from xaibench.models.base import Classifier

Scoring = MapMetric | ImageMetric | ComparisonMetric


def declares(metric: Metric) -> str | None:
    missing = [k for k in ("higher_is_better", "range") if not hasattr(type(metric), k)]
    if missing:
        return f"lacks {' and '.join(missing)}"
    names = metric.value_names(("evidence",))
    if not names or len(set(names)) < len(names):
        return f"value_names gives {names}: names are needed, none of them twice"
    for name in names:
        if name != metric.name and not name.startswith((f"{metric.name}@", f"{metric.name}.")):
            return f"a value is named {name!r}; must be {metric.name!r} or {metric.name}@VARIANT"
        if metric.direction(name) not in (True, False, None):
            return f"direction({name!r}) is {metric.direction(name)!r}; must be True, False or None"
        low, high = metric.value_bounds(name)
        if not low < high:
            return f"value_bounds({name!r}) is ({low}, {high}): the smallest value must come first"
    return None


def scored(metric: Scoring, stage: Stage, model: Classifier, batch: Batch, maps: Tensor) -> Scores:
    """Return what a metric says of maps, of whichever kind it is; other models are the stage's."""
    if isinstance(metric, ImageMetric):
        return metric.score_images(model, batch)
    if isinstance(metric, ComparisonMetric):
        others = metric.others(model, stage.model(seed=1), seed=0)
        return metric.compare(model, others, batch, maps, input_gradient)
    return metric.score(model, batch, maps)


def columns(scores: Scores) -> Tensor:
    """Return the values, a column a name."""
    return torch.stack([scores.values[name].double() for name in sorted(scores.values)], dim=1)


def unreasoned(scores: Scores) -> str | None:
    for name, values in scores.values.items():
        if values.isnan().any() and not scores.undefined.get(name):
            return f"{name} is NaN and `undefined` gives no reason"
    return None


def protocols(metric: Metric) -> list[str]:
    return [metric.protocol(name, segments="slic") for name in metric.value_names(("evidence",))]


def input_gradient(model: Classifier, batch: Batch) -> Tensor:
    """Return maps of a sound explainer, for what asks for them anew.

    In float64: what rounds otherwise in another batch must not pass for the metric's fault, and
    moves ranks.
    """
    images = batch.images.double().requires_grad_()
    score = copy.deepcopy(model).double().score(images, batch.targets, "logit").sum()
    return torch.autograd.grad(score, images)[0].abs().sum(1).float()
