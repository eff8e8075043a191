"""The models of a run, built and trained: one for all targets or one a label; and their twins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from xaibench.config.run_config import RunConfig, plugin_parameters
from xaibench.engine import automatic_batch_size
from xaibench.errors import UserError
from xaibench.metrics.base import TwinMetric
from xaibench.models.base import Classifier
from xaibench.progress import Progress
from xaibench.store.provenance import plugin_version, training_version
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
class Fitted:
    """A trained model with the data set as it sees it.

    Attributes:
        label: the only label that it was trained on; None for all of them.
        data: of that label alone, or the whole.
        twin: the same, trained on permuted labels, where a metric compares with it.
    """

    label: str | None
    data: Data
    model: Classifier
    trained: Trained
    twin: Classifier | None = None


def fitted_models(config: RunConfig, data: Data, place: Workplace) -> tuple[Fitted, ...]:
    """Return the run's trained models, in the order of the labels where each has its own."""
    views = {None: data}
    if config.model_per_label:
        if data.task not in ("multilabel", "regression"):
            raise UserError(
                f"model_per_label: {data.name} has one label an image ({data.task}); "
                "leave it out, or use a data set of several labels"
            )
        views = {label: one_label(data, label) for label in data.classes}
    fitted = []
    for label, view in views.items():
        if label is not None:
            place.progress.say(f"Model of {label} ({len(fitted) + 1} of {len(views)}):")
        model, trained = trained_model(config, config.training, view, place, label)
        twin = twin_model(config, view, place, label)
        fitted.append(Fitted(label, view, model, trained, twin))
    return tuple(fitted)


def by_target(fitted: Iterable[Fitted], classes: tuple[str, ...]) -> Mapping[str, Fitted]:
    """Return which model answers for each target."""
    return {c: each for c in classes for each in fitted if each.label in (None, c)}


def training_log(fitted: tuple[Fitted, ...]) -> pd.DataFrame:
    """Return the logs of all models, with a first column ``label`` where each label has one."""
    logs = [each.trained.log for each in fitted]
    if fitted[0].label is None:
        return logs[0]
    for each, log in zip(fitted, logs, strict=True):
        log.insert(0, "label", each.label)
    return pd.concat(logs, ignore_index=True)


def trained_model(
    config: RunConfig,
    training: TrainingOptions,
    data: Data,
    place: Workplace,
    label: str | None = None,
) -> tuple[Classifier, Trained]:
    """Build the model, train it or load what was trained before, and check the explainers on it.

    Args:
        label: the only one in ``data``, where each label has a model of its own.
    """
    torch.manual_seed(config.seed)
    model = config.model.build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    model = model.to(device=place.device, memory_format=torch.channels_last).eval()
    automatic = config.batch_size == "auto"
    model.batch_size = automatic_batch_size(model) if automatic else config.batch_size
    model.precision, model.acceleration = config.precision, config.acceleration
    for name, explainer in config.explainers.items():
        try:
            explainer.check(model)
        except UserError as error:
            raise UserError(f"explainers.{name}: {error}") from None
    place.progress.say(f"Model: {config.model}; weights: {model.weights}")
    recipe = {
        "dataset": plugin_parameters(config.dataset),
        "model": plugin_parameters(config.model) | {"weights": model.weights},
        "label": label,
        "device": place.device.type,
        "code": [training_version(), plugin_version(config.dataset, config.model)],
    }
    recipe |= place.kept or {}
    may_train = place.kept is None
    options = {"cache": place.cache, "progress": place.progress, "may_train": may_train}
    trained = fit(model, data, training, recipe=recipe, seed=config.seed, **options)
    model.requires_grad_(False)
    return model, trained


def twin_model(
    config: RunConfig, data: Data, place: Workplace, label: str | None = None
) -> Classifier | None:
    """Return the model trained likewise on permuted labels, if a metric compares with it."""
    if not any(isinstance(m, TwinMetric) for m in config.metrics.values()):
        return None
    place.progress.say("The twin, trained on permuted labels:")
    training = config.training.model_copy(update={"shuffle_labels": True})
    return trained_model(config, training, data, place, label)[0]
