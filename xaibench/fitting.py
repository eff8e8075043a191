"""The model of a run, built and trained, and its twin trained on permuted labels."""

from __future__ import annotations

from pathlib import Path

import torch

from xaibench.config import RunConfig, plugin_parameters
from xaibench.datasets.base import Data
from xaibench.errors import UserError
from xaibench.metrics.base import TwinMetric
from xaibench.models.base import Classifier
from xaibench.progress import Progress
from xaibench.provenance import plugin_version
from xaibench.training.loop import Trained, fit
from xaibench.training.options import TrainingOptions


def trained_model(
    config: RunConfig,
    training: TrainingOptions,
    data: Data,
    device: torch.device,
    cache: Path,
    progress: Progress,
) -> tuple[Classifier, Trained]:
    """Build the model, train it or load what was trained before, and check the explainers on it."""
    torch.manual_seed(config.seed)
    model = config.model.build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    model = model.to(device=device, memory_format=torch.channels_last).eval()
    model.batch_size = config.batch_size
    for label, explainer in config.explainers.items():
        try:
            explainer.check(model)
        except UserError as error:
            raise UserError(f"explainers.{label}: {error}") from None
    progress.say(f"Model: {config.model}; weights: {model.weights}")
    recipe = {
        "dataset": plugin_parameters(config.dataset),
        "model": plugin_parameters(config.model) | {"weights": model.weights},
        "device": device.type,
        "code": plugin_version(config.dataset, config.model),
    }
    options = {"recipe": recipe, "seed": config.seed, "cache": cache, "progress": progress}
    trained = fit(model, data, training, **options)
    model.requires_grad_(False)
    return model, trained


def twin_model(
    config: RunConfig, data: Data, device: torch.device, cache: Path, progress: Progress
) -> Classifier | None:
    """Return the model trained likewise on permuted labels, if a metric compares with it."""
    if not any(isinstance(m, TwinMetric) for m in config.metrics.values()):
        return None
    progress.say("The twin, trained on permuted labels:")
    training = config.training.model_copy(update={"shuffle_labels": True})
    return trained_model(config, training, data, device, cache, progress)[0]
