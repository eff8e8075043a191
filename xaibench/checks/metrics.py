"""Does a metric keep its contract?"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from xaibench.checks.checking import TOLERANCE, CheckResult, as_found, check, invariant, well_made
from xaibench.checks.stage import Stage, toy_model
from xaibench.engine import Batch
from xaibench.metrics.base import (
    ComparisonMetric,
    ImageMetric,
    MapMetric,
    Metric,
    PredictionMetric,
    Scores,
    check_promises,
)
from xaibench.models.base import Classifier


def check_metric(metric: Metric) -> Iterator[CheckResult]:
    """Check a metric of maps on small models; of a metric of predictions only how it is made."""
    yield check("is a frozen dataclass with a docstring", well_made, metric)
    yield check("declares direction and range", _declares, metric)
    if isinstance(metric, PredictionMetric):
        return
    for head, channels in (("softmax", 3), ("single_logit", 1)):
        stage = Stage(head, channels)
        name = f"gives one number an image, in range{stage}"
        yield check(name, _in_range, metric, stage, stage.maps())
        values = partial(_values, metric, stage)
        name = f"whole batch = one by one = permuted{stage}"
        yield check(name, invariant, values, stage.batch())
        if not isinstance(metric, ImageMetric):
            constant = torch.zeros_like(stage.maps())
            yield check(f"takes a constant map{stage}", _in_range, metric, stage, constant)
        act = partial(_scores, metric)
        yield check(f"returns model, images and maps as found{stage}", as_found, act, stage)


Scoring = MapMetric | ImageMetric | ComparisonMetric


def _scores(metric: Scoring, model: Classifier, batch: Batch, maps: Tensor) -> Scores:
    if isinstance(metric, ImageMetric):
        return metric.score_images(model, batch)
    if isinstance(metric, ComparisonMetric):
        others = metric.others(model, toy_model(model.head, model.input_shape[0], seed=1), seed=0)
        return metric.compare(model, others, batch, maps, _input_gradient)
    return metric.score(model, batch, maps)


def _input_gradient(model: Classifier, batch: Batch) -> Tensor:
    """Return maps of a sound explainer, for what asks for them anew.

    In float64: what rounds otherwise in another batch must not pass for the metric's fault, and
    moves ranks.
    """
    images = batch.images.double().requires_grad_()
    score = copy.deepcopy(model).double().score(images, batch.targets, "logit").sum()
    return torch.autograd.grad(score, images)[0].abs().sum(1).float()


def _values(metric: Scoring, stage: Stage, part: Batch) -> Tensor:
    """Return the values of a part of the stage's batch, a column a name."""
    whole = stage.batch()
    rows = [whole.ids.index(i) for i in part.ids]
    values = _scores(metric, stage.model(), part, stage.maps()[rows]).values
    return torch.stack([values[name].double() for name in sorted(values)], dim=1)


def _declares(metric: Metric) -> str | None:
    missing = [k for k in ("higher_is_better", "range") if not hasattr(type(metric), k)]
    return f"lacks {' and '.join(missing)}" if missing else None


def _in_range(metric: Scoring, stage: Stage, maps: Tensor) -> str | None:
    batch = stage.batch()
    return _keeps_promises(metric, _scores(metric, stage.model(), batch, maps), batch)


def _keeps_promises(metric: Metric, scores: Scores, batch: Batch) -> str | None:
    check_promises(metric, scores, batch)
    for name, values in scores.values.items():
        low, high = metric.value_bounds(name)
        if values.isnan().any() and name not in scores.undefined:
            return f"{name} is NaN and `undefined` gives no reason"
        outside = values[(values < low - TOLERANCE) | (values > high + TOLERANCE)]
        if len(outside):
            return f"{name} gives {outside[0]:.4g}, outside [{low}, {high}]"
    return None
