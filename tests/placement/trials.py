"""Plugins tried on the pretended GPU, and what they give there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from placing import Wait
from pretended import GPU, Pretended, pretended_gpu
from torch import Tensor

from xaibench.checks.scoring import scored
from xaibench.checks.stage import Stage
from xaibench.engine import Batch
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import Metric
from xaibench.models.base import Classifier
from xaibench.registry import Registry

Plugin = Explainer | Metric


def moved(batch: Batch) -> Batch:
    """Return a batch with all of its tensors on the GPU, which shares passes as a run's do."""
    values = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch) if f.init}
    there = {name: v.to(GPU) for name, v in values.items() if isinstance(v, Tensor)}
    masks = {n: m.to(GPU) for n, m in batch.masks.items()}
    return replace(batch, **there, masks=masks, shares=True)


@dataclass(frozen=True)
class StageThere(Stage):
    """A stage on the pretended GPU."""

    def model(self, seed: int = 0) -> Classifier:
        return super().model(seed).to(GPU)

    def batch(self, seed: int = 0) -> Batch:
        return moved(super().batch(seed))

    def maps(self, seed: int = 1) -> Tensor:
        return super().maps(seed).to(GPU)


def plugin(kind: str, name: str, settings: dict | None = None) -> Plugin:
    made = Registry().load(kind, name)
    return made(**(getattr(made, "checked_with", {}) | (settings or {})))


def numbers(tried: Plugin, stage: Stage, batch_size: int | None = None) -> dict[str, Tensor]:
    """Return what a plugin gives: maps, or values by name."""
    return _numbers(tried, stage, stage.model(), stage.batch(), batch_size)


def _numbers(
    tried: Plugin, stage: Stage, model: Classifier, batch: Batch, batch_size: int | None
) -> dict[str, Tensor]:
    model.batch_size = batch_size or model.batch_size
    if isinstance(tried, Explainer):
        return {"maps": tried(model, batch).maps}
    return dict(scored(tried, stage, model, batch, stage.maps()).values)


def numbers_there(
    tried: Plugin, stage: Stage, batch_size: int | None = None
) -> tuple[dict[str, Tensor], list[Wait]]:
    """Return what a plugin gives on the pretended GPU, held by the CPU, and what it waited for.

    Raises:
        PlacementError: a GPU would have refused it, or something that it gives is not there.
    """
    there = StageThere(**{f.name: getattr(stage, f.name) for f in dataclasses.fields(stage)})
    with pretended_gpu() as seen:
        model, batch = there.model(), there.batch()
        seen.waits.clear()  # bringing them there is nobody's waiting
        found = _numbers(tried, there, model, batch, batch_size)
        waits = [wait for wait in seen.waits if not wait.where.startswith(_MOVING)]
    strays = [name for name, value in found.items() if not isinstance(value, Pretended)]
    if strays:
        raise AssertionError(f"{tried.name} gives {', '.join(strays)} on the CPU")
    return {name: value.held for name, value in found.items()}, waits


# What moves the maps to be scored, and the other model; and the gradient that a comparison makes.
_MOVING = ("tests/placement/trials.py", "xaibench/checks/scoring.py")


def places(waits: Iterable[Wait], *kinds: str) -> set[str]:
    return {wait.where for wait in waits if not kinds or wait.what in kinds}


def alike(one: Tensor, other: Tensor) -> bool:
    """Say whether numbers are equal but for the order in which a kernel adds them up."""
    size = float(other.double().nan_to_num().abs().max())
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5 * size, equal_nan=True)
