"""The models of a run, built and trained: for each training seed one, or one a label; and twins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from xaibench.config.run_config import RunConfig, identity_of, plugin_parameters
from xaibench.engine import automatic_batch_size
from xaibench.engine.backend_choice import Choice
from xaibench.errors import UserError
from xaibench.metrics.base import ComparisonMetric
from xaibench.models.base import Classifier
from xaibench.networks.layout import training_layout
from xaibench.progress import Progress
from xaibench.runs.backends import backend_of
from xaibench.store.provenance import plugin_version, training_version
from xaibench.store.schema import SEED
from xaibench.training.checkpoint import Trained
from xaibench.training.loop import fit
from xaibench.training.one_label import one_label
from xaibench.training.options import TrainingOptions
from xaibench.types import Data


@dataclass(frozen=True)
class Workplace:
    """The device that computes, the folder of what may be kept between runs, and the display.

    Attributes:
        kept: what the recipes of the checkpoints to take say of their code and device; nothing is
            trained then. None trains what is missing.
    """

    device: torch.device
    cache: Path
    progress: Progress
    kept: Mapping[str, object] | None = None


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one model is trained on, and with which seed.

    Attributes:
        label: the only label in ``data``, where each label has a model of its own; None for all.
        data: of that label alone, or the whole.
        seed: of the weights as they are built, of the order of the images, and of augmentation.
    """

    label: str | None
    data: Data
    seed: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model with the data set as it sees it.

    Attributes:
        lesson: what it was trained on.
        choice: of what its forward passes run through.
        twin: the same, trained on permuted labels, where a metric compares with it.
    """

    lesson: Lesson
    model: Classifier
    trained: Trained
    choice: Choice
    twin: Classifier | None = None

    @property
    def label(self) -> str | None:
        return self.lesson.label

    @property
    def data(self) -> Data:
        return self.lesson.data

    @property
    def seed(self) -> int:
        return self.lesson.seed


def fitted_models(config: RunConfig, data: Data, place: Workplace) -> tuple[Fitted, ...]:
    """Return the run's trained models by training seed, each seed's in the order of the labels."""
    seeds, fitted = config.training_seeds, []
    views = _views(config, data)
    for number, seed in enumerate(seeds, 1):
        if len(seeds) > 1:
            place.progress.say(f"Training seed {seed} ({number} of {len(seeds)}):")
        for at, (label, view) in enumerate(views.items(), 1):
            if label is not None:
                place.progress.say(f"Model of {label} ({at} of {len(views)}):")
            lesson = Lesson(label, view, seed)
            model, trained = trained_model(config, config.training, lesson, place)
            choice = backend_of(model, config.engine, lesson.data, place.cache)
            place.progress.say(str(choice))
            twin = twin_model(config, lesson, place)
            if twin is not None:
                backend_of(twin, choice.name, lesson.data, place.cache)
            fitted.append(Fitted(lesson, model, trained, choice, twin))
    return tuple(fitted)


def _views(config: RunConfig, data: Data) -> Mapping[str | None, Data]:
    """Return the data set as each model of one seed sees it, by its label."""
    views = {None: data}
    if config.model_per_label:
        if data.task not in ("multilabel", "regression"):
            raise UserError(
                f"model_per_label: {data.name} has one label an image ({data.task}); "
                "leave it out, or use a data set of several labels"
            )
        views = {label: one_label(data, label) for label in data.classes}
    return views


def by_seed(fitted: Iterable[Fitted]) -> Mapping[int, tuple[Fitted, ...]]:
    """Return the models of each training seed, in their order."""
    found: dict[int, list[Fitted]] = {}
    for each in fitted:
        found.setdefault(each.seed, []).append(each)
    return {seed: tuple(its) for seed, its in found.items()}


def by_target(fitted: Iterable[Fitted], classes: tuple[str, ...]) -> Mapping[str, Fitted]:
    """Return which of one seed's models answers for each target."""
    return {c: each for c in classes for each in fitted if each.label in (None, c)}


def training_log(fitted: tuple[Fitted, ...]) -> pd.DataFrame:
    """Return the logs of all models, with a first column ``training_seed``, and behind it ``label``
    where each label has one."""
    logs = []
    for each in fitted:
        own = {SEED: each.seed} | ({} if each.label is None else {"label": each.label})
        log = each.trained.log.assign(**own)
        logs.append(log[[*own, *each.trained.log.columns]])
    return pd.concat(logs, ignore_index=True)


def trained_model(
    config: RunConfig, training: TrainingOptions, lesson: Lesson, place: Workplace
) -> tuple[Classifier, Trained]:
    """Build the model, train it or load what was trained before, and check the explainers on it."""
    data = lesson.data
    torch.manual_seed(lesson.seed)
    model = config.model.build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    layout = training_layout(model.net, place.device)
    model = model.to(device=place.device, memory_format=layout).eval()
    automatic = config.batch_size == "auto"
    model.batch_size = automatic_batch_size(model) if automatic else config.batch_size
    model.precision, model.gradients = config.precision, config.gradients
    for name, explainer in config.explainers.items():
        try:
            explainer.admit(model)
        except UserError as error:
            raise UserError(f"explainers.{name}: {error}") from None
    _check_metrics(config, model)
    place.progress.say(f"Model: {config.model}; weights: {model.weights}")
    for line in (*model.origin.notes, *(model.origin.doubts if training.epochs == 0 else ())):
        place.progress.say(line)
    recipe = {
        "dataset": plugin_parameters(config.dataset),
        "model": identity_of(config.model) | {"weights": model.weights},
        "label": lesson.label,
        "device": place.device.type,
        "code": [training_version(), plugin_version(config.dataset, config.model)],
    }
    recipe |= place.kept or {}
    may_train = place.kept is None
    options = {"cache": place.cache, "progress": place.progress, "may_train": may_train}
    trained = fit(model, data, training, recipe=recipe, seed=lesson.seed, **options)
    model.requires_grad_(False)
    if training.epochs == 0:
        place.progress.say(_untrained(trained))
    return model, trained


def _check_metrics(config: RunConfig, model: Classifier) -> None:
    """Raise UserError for a metric that needs what this model, or this training, has not."""
    for name, metric in config.metrics.items():
        if not isinstance(metric, ComparisonMetric):
            continue
        if metric.needs_twin and config.training.epochs == 0:
            raise UserError(
                f"metrics.{name}: compares with a twin that is trained on permuted labels, and "
                "training.epochs is 0: nothing is trained; leave the metric out"
            )
        if metric.needs_layers and model.scores_only:
            raise UserError(
                f"metrics.{name}: draws the model's layers anew, and this one has none to draw: it "
                "gives scores alone; leave the metric out"
            )


def _untrained(trained: Trained) -> str:
    known = {k: v for k, v in (trained.validation or {}).items() if v is not None}
    told = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
    return "Nothing is trained (training.epochs: 0)" + (f"; validation {told}" if told else "")


def twin_model(config: RunConfig, lesson: Lesson, place: Workplace) -> Classifier | None:
    """Return the model trained likewise on permuted labels, if a metric compares with it."""
    metrics = [m for m in config.metrics.values() if isinstance(m, ComparisonMetric)]
    if not any(m.needs_twin for m in metrics):
        return None
    place.progress.say("The twin, trained on permuted labels:")
    training = config.training.model_copy(update={"shuffle_labels": True})
    return trained_model(config, training, lesson, place)[0]
