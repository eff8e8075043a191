"""Conformance: the same checks for our plugins and for everyone's.

``xaibench check my_file.py`` runs them; so do our own tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from xaibench.errors import UserError, did_you_mean
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import (
    ImageMetric,
    MapMetric,
    Metric,
    PredictionMetric,
    Scores,
    TwinMetric,
)
from xaibench.models.base import Classifier
from xaibench.randomness import image_seed
from xaibench.registry import Registry
from xaibench.types import Batch, Head

TOLERANCE = 1e-5
"""Largest difference between a batch and its images one by one, relative to the largest value."""

_SIDE, _IMAGES = 32, 5


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, and why it failed (None where it passed)."""

    name: str
    why: str | None

    @property
    def passed(self) -> bool:
        return self.why is None


def check_plugin(named: str) -> Iterator[CheckResult]:
    """Check a plugin file, or an installed plugin named ``KIND:NAME``, with its defaults."""
    kind, colon, name = named.partition(":")
    if colon and not Path(named).exists():
        plugin = Registry().load(kind, name)
    else:
        path = Path(named)
        found = [p for p in Registry([path]).plugins() if p.source == str(path)]
        plugin = found[0].load()
    checks = {"explainer": check_explainer, "metric": check_metric}
    if plugin.kind not in checks:
        raise UserError(f"a {plugin.kind} cannot be checked yet{did_you_mean(plugin.kind, checks)}")
    try:
        instance = plugin()
    except TypeError as error:
        raise UserError(f"{named}: every parameter needs a default: {error}") from None
    yield from checks[plugin.kind](instance)


def toy_model(head: Head = "softmax", channels: int = 3, seed: int = 0) -> Classifier:
    """Return a small convolutional classifier with global average pooling, seeded."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential()
        net.add_module("stem", nn.Conv2d(channels, 8, 5, 2, 2))
        net.add_module("norm", nn.BatchNorm2d(8))
        net.add_module("act", nn.ReLU())
        net.add_module("last", nn.Conv2d(8, 16, 3, 2, 1))
        net.add_module("last_act", nn.ReLU())
        net.add_module("pool", nn.AdaptiveAvgPool2d(1))
        net.add_module("flat", nn.Flatten())
        net.add_module("fc", nn.Linear(16, 1 if head == "single_logit" else 2))
        with torch.no_grad():  # confident enough for scores to move when pixels go
            net.fc.weight.mul_(8)
    model = Classifier(
        net,
        head=head,
        classes=("a", "b"),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        cam_layer="last_act",
        linear_head="fc",
        pool="pool",
        input_shape=(channels, _SIDE, _SIDE),
        batch_size=16,
    )
    return model.eval()


def toy_batch(channels: int = 3, images: int = _IMAGES, seed: int = 0) -> Batch:
    """Return seeded images with blocks of structure, segments and masks."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(images, channels, 4, 4, generator=generator)
    fine = torch.rand(images, channels, _SIDE, _SIDE, generator=generator)
    pixels = 0.7 * nn.functional.interpolate(coarse, _SIDE) + 0.3 * fine
    cells = torch.arange(_SIDE) // 8
    # Images have different numbers of segments, as superpixels have.
    segments = torch.stack(
        [(cells[:, None] * 4 + cells) // (1 + i % 2) for i in range(images)]
    ).contiguous()
    masks = torch.zeros(images, _SIDE, _SIDE, dtype=torch.bool)
    masks[1:, 8:20, 8:20] = True  # the first image has no evidence
    ids = tuple(f"image_{i}" for i in range(images))
    return Batch(
        images=pixels,
        labels=torch.arange(images) % 2,
        targets=torch.arange(images) % 2,
        ids=ids,
        groups=ids,
        masks={"evidence": masks},
        segments=segments,
        seeds=torch.tensor([image_seed(seed, i) for i in ids]),
        dataset_mean=pixels.mean(dim=(0, 2, 3)),
    )


def check_explainer(explainer: Explainer) -> Iterator[CheckResult]:
    """Check an explainer on small models: three kinds of head, one and three channels."""
    yield _check("is a frozen dataclass with a docstring", _well_made, explainer)
    for head, channels in (("softmax", 3), ("single_logit", 1), ("multilabel", 3)):
        stage = Stage(head, channels)
        yield _check(f"gives finite maps of the images' size{stage}", _finite, explainer, stage)
        yield _check(f"gives the same twice{stage}", _repeatable, explainer, stage)
        maps = partial(_maps, explainer, stage.model())
        name = f"whole batch = one by one = permuted{stage}"
        yield _check(name, _invariant, maps, stage.batch())
        act = lambda model, batch, _, explainer=explainer: explainer(model, batch)
        yield _check(f"returns model and images as found{stage}", _as_found, act, stage)
        if not explainer.control:
            yield _check(f"depends on the model{stage}", _sensitive, explainer, stage)


def check_metric(metric: Metric) -> Iterator[CheckResult]:
    """Check a metric of maps on small models; of a metric of predictions only how it is made."""
    yield _check("is a frozen dataclass with a docstring", _well_made, metric)
    yield _check("declares direction and range", _declares, metric)
    if isinstance(metric, PredictionMetric):
        return
    if isinstance(metric, TwinMetric):
        yield _check("gives one number an image, in range", _compares, metric)
        return
    for head, channels in (("softmax", 3), ("single_logit", 1)):
        stage = Stage(head, channels)
        name = f"gives one number an image, in range{stage}"
        yield _check(name, _in_range, metric, stage, stage.maps())
        values = partial(_values, metric, stage)
        name = f"whole batch = one by one = permuted{stage}"
        yield _check(name, _invariant, values, stage.batch())
        if not isinstance(metric, ImageMetric):
            constant = torch.zeros_like(stage.maps())
            yield _check(f"takes a constant map{stage}", _in_range, metric, stage, constant)
        act = partial(_scores, metric)
        yield _check(f"returns model, images and maps as found{stage}", _as_found, act, stage)


@dataclass(frozen=True)
class Stage:
    """What a plugin is tried on; made anew for each check, so that none spoils the next."""

    head: Head
    channels: int

    def model(self, seed: int = 0) -> Classifier:
        return toy_model(self.head, self.channels, seed)

    def batch(self) -> Batch:
        return toy_batch(self.channels)

    def maps(self) -> Tensor:
        return torch.rand(_IMAGES, _SIDE, _SIDE, generator=torch.Generator().manual_seed(1))

    def __str__(self) -> str:
        return f" ({self.head}, {self.channels} channels)"


def _check(name: str, check: Callable[..., str | None], *arguments: object) -> CheckResult:
    try:
        return CheckResult(name, check(*arguments))
    except Exception as error:
        return CheckResult(name, f"{type(error).__name__}: {error}")


def _maps(explainer: Explainer, model: Classifier, batch: Batch) -> Tensor:
    return explainer(model, batch).maps


def _scores(
    metric: MapMetric | ImageMetric, model: Classifier, batch: Batch, maps: Tensor
) -> Scores:
    if isinstance(metric, ImageMetric):
        return metric.score_images(model, batch)
    return metric.score(model, batch, maps)


def _values(metric: MapMetric | ImageMetric, stage: Stage, part: Batch) -> Tensor:
    """Return the values of a part of the stage's batch, a column a name."""
    whole = stage.batch()
    rows = [whole.ids.index(i) for i in part.ids]
    values = _scores(metric, stage.model(), part, stage.maps()[rows]).values
    return torch.stack([values[name].double() for name in sorted(values)], dim=1)


def _well_made(plugin: object) -> str | None:
    cls = type(plugin)
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:
        return f"{cls.__name__} must be marked @dataclass(frozen=True)"
    if not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}("):
        return f"{cls.__name__} needs a docstring; its first line is what `xaibench list` shows"
    return None


def _finite(explainer: Explainer, stage: Stage) -> str | None:
    model = stage.model()
    explainer.check(model)
    statuses = explainer(model, stage.batch()).statuses
    return "maps have values that are not finite" if "nan" in statuses else None


def _repeatable(explainer: Explainer, stage: Stage) -> str | None:
    first = explainer(stage.model(), stage.batch()).maps
    second = explainer(stage.model(), stage.batch()).maps
    return None if torch.equal(first, second) else f"differ by {_gap(first, second):.2g}; use seeds"


def _invariant(function: Callable[[Batch], Tensor], batch: Batch) -> str | None:
    whole = function(batch.take(range(len(batch))))
    single = torch.cat([function(batch.take([i])) for i in range(len(batch))])
    order = list(reversed(range(len(batch))))
    permuted = function(batch.take(order))
    for name, other in {"one by one": single, "permuted": permuted[order]}.items():
        if (gap := _gap(whole, other)) > TOLERANCE:
            return f"whole batch and {name} differ by {gap:.2g} of the largest value"
    return None


def _gap(one: Tensor, other: Tensor) -> float:
    if not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    scale = one.nan_to_num().abs().max().clamp_min(1e-12)
    return float((one - other).nan_to_num().abs().max() / scale)


def _as_found(act: Callable[[Classifier, Batch, Tensor], object], stage: Stage) -> str | None:
    """Say what an act changed of a fresh model, batch or maps."""
    model, batch, maps = stage.model(), stage.batch(), stage.maps()
    act(model, batch, maps)
    fresh = stage.model()
    if not torch.equal(batch.images, stage.batch().images) or batch.images.requires_grad:
        return "the images were changed"
    if not torch.equal(maps, stage.maps()):
        return "the maps were changed"
    state = fresh.state_dict()
    if any(not torch.equal(v, state[k]) for k, v in model.state_dict().items()):
        return "weights or buffers were changed"
    if any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return "hooks were left on the model"
    modes = [[m.training for m in one.modules()] for one in (model, fresh)]
    wants = [[p.requires_grad for p in one.parameters()] for one in (model, fresh)]
    if modes[0] != modes[1] or wants[0] != wants[1]:
        return "training mode or requires_grad was changed"
    return None


def _sensitive(explainer: Explainer, stage: Stage) -> str | None:
    one = explainer(stage.model(), stage.batch()).maps
    two = explainer(stage.model(seed=1), stage.batch()).maps
    same = torch.allclose(one, two, rtol=1e-4, atol=1e-7)
    return "another model's weights change no map" if same else None


def _declares(metric: Metric) -> str | None:
    missing = [k for k in ("higher_is_better", "range") if not hasattr(type(metric), k)]
    return f"lacks {' and '.join(missing)}" if missing else None


def _in_range(metric: MapMetric | ImageMetric, stage: Stage, maps: Tensor) -> str | None:
    batch = stage.batch()
    return _keeps_promises(metric, _scores(metric, stage.model(), batch, maps), batch)


def _compares(metric: TwinMetric) -> str | None:
    generator = torch.Generator().manual_seed(1)
    one, other = torch.randn(2, _IMAGES, _SIDE, _SIDE, generator=generator)
    one[0] = 0  # a constant map has no likeness
    return _keeps_promises(metric, metric.compare(one, other), toy_batch())


def _keeps_promises(metric: Metric, scores: Scores, batch: Batch) -> str | None:
    promised = metric.value_names(tuple(batch.masks))
    if sorted(scores.values) != sorted(promised):
        return f"gives {sorted(scores.values)}, promised {sorted(promised)}"
    low, high = metric.bounds
    for name, values in scores.values.items():
        if values.shape != (len(batch),):
            return f"{name} has shape {tuple(values.shape)}, must be ({len(batch)},)"
        if values.isnan().any() and name not in scores.undefined:
            return f"{name} is NaN and `undefined` gives no reason"
        outside = values[(values < low - TOLERANCE) | (values > high + TOLERANCE)]
        if len(outside):
            return f"{name} gives {outside[0]:.4g}, outside [{low}, {high}]"
    return None
