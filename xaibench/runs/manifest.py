"""The manifest: what a result was made of and by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from xaibench.config.run_config import RunConfig, identity_of, plugin_parameters
from xaibench.engine.backend_choice import Choice
from xaibench.engine.device import device_name
from xaibench.models.base import Classifier, Model
from xaibench.runs.fitting import Fitted
from xaibench.runs.own_code import checksums
from xaibench.runs.rows import RunMetric, labelled
from xaibench.runs.subject import Subject
from xaibench.store.provenance import environment


def describe(
    config: RunConfig, subjects: Sequence[Subject], run: str, device: torch.device
) -> dict[str, object]:
    """Return the manifest: what this result was made of and by.

    With several training seeds, what training left behind is told of the first, and in
    ``model.seeds`` of each.
    """
    first = subjects[0]
    data, model = first.data, first.fitted[0].model
    masks = first.records.masks(np.arange(1), np.zeros(1, dtype=int))
    protocols = {}
    for label, metric in config.metrics.items():
        told = RunMetric(metric, label, config.segments.id, config.precision)
        its = told.protocols(masks)
        protocols |= {labelled(label, metric, name): its[name] for name in its}
    monitor = config.training.monitor
    trained = _trained_models(first.fitted, monitor)
    if len(subjects) > 1:
        each = {str(s.seed): _trained_models(s.fitted, monitor) for s in subjects}
        trained |= {"seeds": each}
    return {
        "name": config.name,
        "run": run,
        "seed": config.seed,
        "training_seeds": list(config.training_seeds),
        "dataset": {"name": data.name, "checksum": data.checksum, **data.facts},
        "model": {
            **identity_of(config.model),
            **_architecture(config.model),
            **_code(config.model),
            "weights_used": model.weights,
            "head": _head(config.model, model),
            **_noticed(model, config.training.epochs == 0),
            **trained,
        },
        "training": config.training.model_dump(mode="json"),
        "explainers": {
            k: plugin_parameters(e) | e.facts(model) for k, e in config.explainers.items()
        },
        "protocols": protocols,
        "engine": {
            "precision": config.precision,
            "gradients": config.gradients,
            "tf32": False,  # see device.reproducible
            **_backend(config, first.fitted[0].choice),
            "batch_size": model.batch_size,
        },
        "environment": environment(device_name(device), torch.get_num_threads()),
    }


def _backend(config: RunConfig, choice: Choice) -> dict[str, object]:
    """Return what the first model's passes ran through, and what it was chosen by."""
    told = {"asked": config.engine, "backend": choice.name, "version": choice.version}
    if choice.speedup is not None:
        told["speedup"] = round(choice.speedup, 2)
    if choice.difference is not None:
        names = ("largest_difference_of_probability", "largest_difference_of_logit")
        told |= dict(zip(names, choice.difference, strict=True))
    return told | ({"passed_over": dict(choice.passed_over)} if choice.passed_over else {})


def _trained_models(fitted: Iterable[Fitted], monitor: str) -> dict[str, object]:
    """Return what training left behind, of one seed's model or of each label's."""
    trained = {each.label: _trained(each, monitor) for each in fitted}
    return dict(trained.get(None, {"labels": trained}))


def _architecture(plugin: object) -> dict[str, object]:
    """Return what tables call the model, where that is no parameter of the plugin."""
    name = getattr(plugin, "architecture", None)
    return {} if name is None else {"architecture": name}


def _code(plugin: Model) -> dict[str, object]:
    """Return the checksum of each file of the user's code in the run's folder, where it has any."""
    sums = checksums(plugin)
    return {"code": sums} if sums else {}


def _head(plugin: Model, model: Classifier) -> dict[str, object]:
    """Return which module makes the outputs, how they are read, and what was asked of it.

    ``layer`` is the module as torch writes it, or its class where it has parts.
    """
    name = model.head_module
    module = model.module(name) if name else None
    layer = (
        None if module is None else type(module).__name__ if [*module.children()] else str(module)
    )
    asked = getattr(plugin, "head", None)
    told = {"read_as": model.head, "module": name, "layer": layer}
    return told if asked is None else told | {"asked": asked}


def _noticed(model: Classifier, untrained: bool) -> dict[str, object]:
    """Return what a run said of the model's weights when it was built, where it said anything."""
    said = [*model.origin.notes, *(model.origin.doubts if untrained else ())]
    return {"noticed": said} if said else {}


def _trained(fitted: Fitted, monitor: str) -> dict[str, object]:
    best, validation = fitted.trained.best_value, fitted.trained.validation
    return {
        "trained": validation is None,
        **({} if validation is None else {"validation": dict(validation)}),
        "checkpoint": fitted.trained.key,
        "best_epoch": fitted.trained.best_epoch,
        # NaN is no JSON.
        f"best_{monitor}": best if math.isfinite(best) else None,
    }
