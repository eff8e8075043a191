"""Cells of work: explain a block of images, score the maps, and say so row by row."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaibench.config import plugin_parameters
from xaibench.errors import PluginError, UserError
from xaibench.explainers.base import Explainer, Explanation
from xaibench.memory import peak_memory
from xaibench.metrics.base import Curve, ImageMetric, MapMetric, Scores, TwinMetric
from xaibench.models.base import Classifier, PassCount
from xaibench.provenance import hardware
from xaibench.results import Cell, CellResult
from xaibench.rows import OUTCOMES, Block, Outcome, check_promises, curve_rows, score_rows
from xaibench.types import Batch


@dataclass(frozen=True)
class _Maps:
    """An explainer's maps of a block, with what became of each and what they cost.

    Attributes:
        at: the images whose maps are scored: metrics see finite maps only.
        peak_bytes: most memory in use while they were made.
    """

    explainer: Explainer
    explanation: Explanation
    outcomes: list[Outcome]
    at: list[int]
    peak_bytes: int | None


def score_cells(
    cells: Mapping[Cell, Explainer],
    metrics: Mapping[str, MapMetric | TwinMetric],
    model: Classifier,
    block: Block,
    segments: str,
    twin: Classifier | None = None,
) -> list[CellResult]:
    """Explain a block by several explainers, score all their maps at once, and return the rows.

    Args:
        segments: id of the run's superpixels, for the protocols.
        twin: the model trained on permuted labels, where a metric compares with it.

    Each metric sees the maps of all explainers as one batch, so that its passes fill batches even
    where a block is small. What scoring cost is shared among them by their numbers of maps.
    """
    made = [_make_maps(explainer, model, block.batch) for explainer in cells.values()]
    at = [i for each in made for i in each.at]
    maps = torch.cat([each.explanation.maps[each.at] for each in made])
    scored = block.batch.take(at)
    results = {}
    before, begun = _passes(model, twin), time.perf_counter()
    with peak_memory(model.device) as scoring:
        for label, metric in metrics.items():
            if not at:
                results[label] = Scores({})
                continue
            if isinstance(metric, TwinMetric):
                results[label] = metric.compare(maps, _twin_maps(made, twin, block.batch))
            else:
                with model.as_found():
                    results[label] = metric.score(model, scored, maps)
            check_promises(metric, results[label], scored)
        if model.device.type == "cuda":  # what is queued there is part of the time, too
            torch.cuda.synchronize(model.device)
    cost = {
        "score_seconds": time.perf_counter() - begun,
        "score_forward": _passes(model, twin).since(before).forward,
        "score_backward": _passes(model, twin).since(before).backward,
    }
    done, first = [], 0
    for cell, each in zip(cells, made, strict=True):
        rows = slice(first, first + len(each.at))
        own = {label: _part(result, rows) for label, result in results.items()}
        share = len(each.at) / len(at) if at else 1 / len(made)
        timing = {k: type(v)(round(v * share, 6)) for k, v in cost.items()}
        timing["score_peak_bytes"] = scoring.bytes
        done.append(_result(cell, each, own, metrics, model, block, segments, timing))
        first = rows.stop
    return done


def score_images(
    cell: Cell,
    metrics: Mapping[str, ImageMetric],
    model: Classifier,
    block: Block,
    segments: str,
) -> CellResult:
    """Score a block's images by every metric that needs no map; keep their superpixels."""
    before, begun = _passes(model), time.perf_counter()
    scores = []
    with peak_memory(model.device) as scoring:
        for label, metric in metrics.items():
            with model.as_found():
                result = metric.score_images(model, block.batch)
            check_promises(metric, result, block.batch)
            about = {"params": json.dumps(plugin_parameters(metric), sort_keys=True)}
            outcomes = [OUTCOMES["ok"]] * len(block.batch)
            where = (block, outcomes, about, segments, model.precision)
            scores += score_rows(metric, label, result, *where)
    passes = _passes(model).since(before)
    timing = {
        "run": block.rows[0]["run"],
        "block": cell.block,
        "images": len(block.batch),
        "device": hardware(model.device),
        "score_seconds": time.perf_counter() - begun,
        "score_peak_bytes": scoring.bytes,
        "score_forward": passes.forward,
        "score_backward": passes.backward,
    }
    superpixels = block.batch.segments.cpu().numpy().astype(np.int32)
    return CellResult(scores, [], timing, maps=None, segments=superpixels)


def _make_maps(explainer: Explainer, model: Classifier, batch: Batch) -> _Maps:
    with peak_memory(model.device) as explaining:
        explanation, outcomes = explain(explainer, model, batch)
    at = [i for i, outcome in enumerate(outcomes) if outcome.scored]
    return _Maps(explainer, explanation, outcomes, at, explaining.bytes)


def _twin_maps(made: Iterable[_Maps], twin: Classifier, batch: Batch) -> Tensor:
    parts = [explain(m.explainer, twin, batch.take(m.at))[0].maps for m in made if m.at]
    return torch.cat(parts)


def _part(result: Scores, rows: slice) -> Scores:
    """Return what a metric said of some of the maps."""
    values = {name: value[rows] for name, value in result.values.items()}
    curves = {name: Curve(c.x[rows], c.y[rows]) for name, c in result.curves.items()}
    return Scores(values, curves, result.undefined)


def _result(
    cell: Cell,
    made: _Maps,
    results: Mapping[str, Scores],
    metrics: Mapping[str, MapMetric | TwinMetric],
    model: Classifier,
    block: Block,
    segments: str,
    timing: Mapping[str, object],
) -> CellResult:
    """Return the rows of one explainer, the scores of its own maps given."""
    count, passes = len(block.batch), made.explanation.passes
    said = plugin_parameters(made.explainer) | made.explainer.facts(model)
    about = {
        "explainer": cell.explainer,
        "params": json.dumps(said, sort_keys=True),
        "control": made.explainer.control,
        "forward_passes": passes.forward / count,
        "backward_passes": passes.backward / count,
    }
    scores, curves = [], []
    for label, metric in metrics.items():
        where = (block, made.outcomes, about, segments, model.precision)
        scores += score_rows(metric, label, results[label], *where)
        curves += curve_rows(results[label], block, made.at, cell.explainer, label)
    explaining = {
        "run": block.rows[0]["run"],
        "explainer": cell.explainer,
        "block": cell.block,
        "images": count,
        "device": hardware(model.device),
        "explain_seconds": made.explanation.seconds,
        "explain_peak_bytes": made.peak_bytes,
        "explain_forward": passes.forward,
        "explain_backward": passes.backward,
    }
    maps = made.explanation.maps.cpu().numpy()
    return CellResult(scores, curves, explaining | dict(timing), maps)


def _passes(*models: Classifier | None) -> PassCount:
    """Return the passes of a model and of its twin, where there is one."""
    counts = [m.passes for m in models if m is not None]
    return PassCount(sum(c.forward for c in counts), sum(c.backward for c in counts))


def explain(
    explainer: Explainer, model: Classifier, batch: Batch
) -> tuple[Explanation, list[Outcome]]:
    """Return the maps and what became of each; an image that fails alone fails alone."""
    try:
        explanation = explainer(model, batch)
    except (UserError, PluginError):  # the user's or the plugin's mistake: every image would fail
        raise
    except Exception as error:
        if len(batch) == 1:
            height, width = batch.images.shape[2:]
            nothing = torch.full((1, height, width), torch.nan, device=batch.images.device)
            failed = Outcome("failed", f"{type(error).__name__}: {error}")
            return Explanation(nothing, ("nan",), PassCount(), 0.0), [failed]
        return _joined([explain(explainer, model, part) for part in batch.split(1)])
    return explanation, [OUTCOMES[status] for status in explanation.statuses]


def _joined(
    parts: Iterable[tuple[Explanation, list[Outcome]]],
) -> tuple[Explanation, list[Outcome]]:
    parts = list(parts)
    each = [explanation for explanation, _ in parts]
    passes = PassCount(sum(e.passes.forward for e in each), sum(e.passes.backward for e in each))
    statuses = tuple(s for e in each for s in e.statuses)
    maps = torch.cat([e.maps for e in each])
    joined = Explanation(maps, statuses, passes, sum(e.seconds for e in each))
    return joined, [outcome for _, outcomes in parts for outcome in outcomes]
