"""Cells of work: explain a block of images, score the maps, and say so row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaibench.config.run_config import plugin_parameters
from xaibench.engine import Batch
from xaibench.engine.costs import Cost, measured
from xaibench.engine.device import device_name
from xaibench.errors import PluginError, UserError
from xaibench.explainers.base import Explainer, Explanation
from xaibench.metrics.base import (
    Curve,
    ImageMetric,
    MapMetric,
    Metric,
    Scores,
    TwinMetric,
    check_promises,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.runs.rows import OUTCOMES, Block, Outcome, RunMetric, curve_rows
from xaibench.store.cells import Cell, CellResult
from xaibench.store.provenance import hardware
from xaibench.store.schema import SEED


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


@dataclass(frozen=True, eq=False)
class Scorer:
    """What explains and scores blocks of images.

    Attributes:
        metrics: label -> metric; those of predictions have no part in it.
        segments: id of the run's superpixels, for the protocols.
        twin: the model trained on permuted labels, where a metric compares with it.
    """

    model: Classifier
    metrics: Mapping[str, Metric]
    segments: str
    twin: Classifier | None = None

    def score_cells(self, cells: Mapping[Cell, Explainer], block: Block) -> list[CellResult]:
        """Explain a block by several explainers, score all their maps at once; return the rows.

        Each metric sees the maps of all explainers as one batch, so that its passes fill batches
        even where a block is small. What scoring cost is shared among them by their numbers of
        maps.
        """
        made = [self._make_maps(explainer, block.batch) for explainer in cells.values()]
        at = [i for each in made for i in each.at]
        maps = torch.cat([each.explanation.maps[each.at] for each in made])
        scored = block.batch.take(at)
        with measured(self.model, self.twin) as cost:
            results = {
                each.label: self._scores(each.metric, scored, maps, made, block.batch)
                if at
                else Scores({})
                for each in self._of(MapMetric, TwinMetric)
            }
        done, first = [], 0
        for cell, each in zip(cells, made, strict=True):
            rows = slice(first, first + len(each.at))
            own = {label: _part(result, rows) for label, result in results.items()}
            timing = _scoring(cost, len(each.at) / len(at) if at else 1 / len(made))
            done.append(self._result(cell, each, own, block, timing))
            first = rows.stop
        return done

    def score_images(self, cell: Cell, block: Block) -> CellResult:
        """Score a block's images by every metric that needs no map; keep their superpixels."""
        scores = []
        with measured(self.model) as cost:
            for each in self._of(ImageMetric):
                with self.model.as_found():
                    result = each.metric.score_images(self.model, block.batch)
                check_promises(each.metric, result, block.batch)
                about = {"params": json.dumps(plugin_parameters(each.metric), sort_keys=True)}
                scores += each.rows(result, block, [OUTCOMES["ok"]] * len(block.batch), about)
        superpixels = block.batch.segments.cpu().numpy().astype(np.int32)
        timing = self._about(cell, block) | _scoring(cost)
        return CellResult(scores, [], timing, maps=None, segments=superpixels)

    def _of(self, *kinds: type[Metric]) -> list[RunMetric]:
        return [
            RunMetric(metric, label, self.segments, self.model.precision)
            for label, metric in self.metrics.items()
            if isinstance(metric, kinds)
        ]

    def _make_maps(self, explainer: Explainer, batch: Batch) -> _Maps:
        with measured(self.model) as cost:
            explanation, outcomes = explain(explainer, self.model, batch)
        at = [i for i, outcome in enumerate(outcomes) if outcome.scored]
        return _Maps(explainer, explanation, outcomes, at, cost.peak_bytes)

    def _scores(
        self,
        metric: MapMetric | TwinMetric,
        scored: Batch,
        maps: Tensor,
        made: Iterable[_Maps],
        whole: Batch,
    ) -> Scores:
        """Return what a metric says of all maps; of a twin's, made of the same images anew."""
        if isinstance(metric, TwinMetric):
            its = [explain(m.explainer, self.twin, whole.take(m.at))[0] for m in made if m.at]
            scores = metric.compare(maps, torch.cat([each.maps for each in its]))
        else:
            with self.model.as_found():
                scores = metric.score(self.model, scored, maps)
        check_promises(metric, scores, scored)
        return scores

    def _result(
        self,
        cell: Cell,
        made: _Maps,
        results: Mapping[str, Scores],
        block: Block,
        timing: Mapping[str, object],
    ) -> CellResult:
        """Return the rows of one explainer, the scores of its own maps given."""
        count, passes = len(block.batch), made.explanation.passes
        said = plugin_parameters(made.explainer) | made.explainer.facts(self.model)
        about = {
            "explainer": cell.explainer,
            "params": json.dumps(said, sort_keys=True),
            "control": made.explainer.control,
            "forward_passes": passes.forward / count,
            "backward_passes": passes.backward / count,
        }
        scores, curves = [], []
        for each in self._of(MapMetric, TwinMetric):
            scores += each.rows(results[each.label], block, made.outcomes, about)
            curves += curve_rows(results[each.label], block, made.at, cell.explainer, each.label)
        explaining = {
            "explainer": cell.explainer,
            "explain_seconds": made.explanation.seconds,
            "explain_peak_bytes": made.peak_bytes,
            "explain_forward": passes.forward,
            "explain_backward": passes.backward,
        }
        maps = made.explanation.maps.cpu().numpy()
        return CellResult(
            scores, curves, self._about(cell, block) | explaining | dict(timing), maps
        )

    def _about(self, cell: Cell, block: Block) -> dict[str, object]:
        """Return what a cell's row of timings says of it, whatever it cost."""
        return {
            **{k: block.rows[0][k] for k in ("run", SEED)},
            "block": cell.block,
            "images": len(block.batch),
            "device": hardware(device_name(self.model.device), torch.get_num_threads()),
        }


def _scoring(cost: Cost, part: float = 1.0) -> dict[str, object]:
    """Return the columns of timings about scoring, for a part of it in [0, 1]."""
    return {
        "score_seconds": round(cost.seconds * part, 6),
        "score_forward": int(round(cost.passes.forward * part, 6)),
        "score_backward": int(round(cost.passes.backward * part, 6)),
        "score_peak_bytes": cost.peak_bytes,
    }


def _part(result: Scores, rows: slice) -> Scores:
    """Return what a metric said of some of the maps."""
    values = {name: value[rows] for name, value in result.values.items()}
    curves = {name: Curve(c.x[rows], c.y[rows]) for name, c in result.curves.items()}
    return Scores(values, curves, result.undefined)


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
