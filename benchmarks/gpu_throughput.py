"""Images a second over the batch size: bare passes, the engine's network, and masked passes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.stage import Stage
from benchmarks.tables import markdown
from benchmarks.timing import timed
from xaibench.engine import RankMasks, fill_images, masked_scores
from xaibench.engine.batch import Batch
from xaibench.engine.network import forward_network
from xaibench.models.base import Classifier
from xaibench.types import BackendName, Precision

_AT_LEAST = 0.2  # seconds


def throughput(stage: Stage) -> dict[str, object]:
    """Return the section: a row a batch size, until memory or time runs out."""
    sizes = (2, 4) if stage.tiny else (64, 128, 256, 512, 1024, 2048, 4096)
    fastest = stage.backends[-1]
    found: list[dict[str, float]] = []
    for size in sizes:
        if found and stage.deadline.left() < 20:
            break
        row: dict[str, float] = {"batch": size}
        for name, make in _makers(stage, size, fastest).items():
            try:
                row[name] = _rate(make(), size, stage.device)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
        found.append(row)
    names = list(_makers(stage, sizes[0], fastest))
    rows = [[str(r["batch"]), *(f"{r[n]:.0f}" if n in r else "–" for n in names)] for r in found]
    title = f"**Images a second over the batch size**: {stage.size.name}, on {stage.device}"
    return {"found": found, "table": f"{title}\n\n{markdown(['batch', *names], rows)}"}


def _makers(
    stage: Stage, size: int, fastest: BackendName
) -> dict[str, Callable[[], Callable[[], object]]]:
    model = stage.subject.model
    batch = stage.subject.fresh(1)
    makers = {"bare fp32": partial(_bare, model, batch, size)}
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for backend in dict.fromkeys(("eager", fastest)):
        said = "" if backend == "eager" else f" {backend}"
        for precision in precisions:
            other = partial(_other, model, precision, backend, size)
            makers[f"folded {precision}{said}"] = partial(_folded, other, batch, size)
            makers[f"masked {precision}{said}"] = partial(_masked, other, batch, size)
    return makers


def _other(model: Classifier, precision: Precision, backend: BackendName, size: int) -> Classifier:
    other = copy.deepcopy(model)
    other.precision, other.backend, other.batch_size = precision, backend, size
    return other


def _bare(model: Classifier, batch: Batch, size: int) -> Callable[[], object]:
    images = batch.images.repeat(size, 1, 1, 1).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.inference_mode():
            model(images)

    return work


def _folded(other: Callable[[], Classifier], batch: Batch, size: int) -> Callable[[], object]:
    model = other()
    network, targets = forward_network(model), batch.targets.repeat(size)

    with torch.inference_mode():
        images = network.normalised(batch.images).repeat(size, 1, 1, 1)
        images = images.contiguous(memory_format=torch.channels_last)

    def work() -> None:
        # The model is named, so that it lives: its network keeps only a weak hold on it.
        with torch.inference_mode():
            forward_network(model).scores(images, targets, "prob")

    return work


def _masked(other: Callable[[], Classifier], batch: Batch, size: int) -> Callable[[], object]:
    model, device = other(), batch.images.device
    side = batch.images.shape[-1]
    ranks = torch.arange(side * side, device=device).view(1, side, side)
    thresholds = torch.linspace(0, side * side, size, device=device).long()[None]
    masks = RankMasks(ranks, thresholds, torch.full_like(batch.targets, size))
    fills = fill_images(batch, "black")
    return lambda: masked_scores(model, batch.images, fills, batch.targets, masks)


def _rate(work: Callable[[], object], size: int, device: torch.device) -> float:
    """Return images a second over a time that can be measured."""
    work()
    once = timed(work, device)
    times = max(1, math.ceil(_AT_LEAST / once))
    seconds = timed(lambda: [work() for _ in range(times)], device)
    return size * times / seconds
