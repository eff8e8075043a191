"""Cells of work: explain a block of images, score the maps, and say so row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaibench.config.run_config import plugin_parameters
from xaibench.engine import Batch, Maps
from xaibench.engine.costs import Cost, measured
from xaibench.engine.device import device_name
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import (
    ComparisonMetric,
    Curve,
    ImageMetric,
    MapMetric,
    Metric,
    Scores,
    check_promises,
)
from xaibench.models.base import Classifier
from xaibench.runs.explaining import Explained, remade, scored_batch
from xaibench.runs.rows import OUTCOMES, Block, RunMetric, curve_rows
from xaibench.store.cells import Cell, CellResult
from xaibench.store.provenance import hardware
from xaibench.store.schema import SEED


@dataclass(frozen=True, eq=False)
class Scorer:
    """What explains and scores blocks of images.

    Attributes:
        metrics: label -> metric; those of predictions have no part in it.
        segments: id of the run's superpixels, for the protocols.
        twin: the model trained on permuted labels, where a metric compares with it.
        seed: of the run, for the models that a metric makes to compare with.
    """

    model: Classifier
    metrics: Mapping[str, Metric]
    segments: str
    twin: Classifier | None = None
    seed: int = 0
    _others: dict[str, Mapping[Any, Classifier]] = field(default_factory=dict, init=False)

    def score_cells(self, cells: Mapping[Cell, Explainer], block: Block) -> list[CellResult]:
        """Explain a block by several explainers, score all their maps at once; return the rows.

        Each metric sees the maps of all explainers as one batch, so that its passes fill batches
        even where a block is small. What scoring cost, further draws among it, is shared among
        them by their numbers of maps.
        """
        begun = [Explained.of(each, self.model, block.batch) for each in cells.values()]
        with measured(self.model, self.twin) as cost:
            made = [each.drawn(self.model, block.batch) for each in begun]
            scored, maps = scored_batch(made, block.batch)
            results = {
                each.label: self._scores(each, scored, maps, made) if len(scored) else Scores({})
                for each in self._of(MapMetric, ComparisonMetric)
            }
        done, first = [], 0
        for cell, each in zip(cells, made, strict=True):
            rows = slice(first, first + each.count)
            own = {k: _part(result, rows, len(each.draws)) for k, result in results.items()}
            timing = _scoring(cost, each.count / len(scored) if len(scored) else 1 / len(made))
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

    def _scores(
        self, asked: RunMetric, scored: Batch, maps: Maps, made: Sequence[Explained]
    ) -> Scores:
        """Return what a metric says of all maps, and of those that other models give."""
        metric = asked.metric
        with self.model.as_found():
            if isinstance(metric, ComparisonMetric):
                others = self._others_of(asked)
                remake = partial(remade, made)
                scores = metric.compare(self.model, others, scored, maps, remake)
            else:
                scores = metric.score(self.model, scored, maps)
        check_promises(metric, scores, scored)
        return scores

    def _others_of(self, asked: RunMetric) -> Mapping[Any, Classifier]:
        if asked.label not in self._others:
            its = asked.metric.others(self.model, self.twin, self.seed)
            self._others[asked.label] = its
        return self._others[asked.label]

    def _result(
        self,
        cell: Cell,
        made: Explained,
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
        for each in self._of(MapMetric, ComparisonMetric):
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


def _part(result: Scores, rows: slice, draws: int) -> Scores:
    """Return what a metric said of some of the maps, the mean over the draws of each image.

    Where one draw has no value the mean has none: fewer draws would be another control.
    """

    def mean(numbers: Tensor) -> Tensor:
        its = numbers[rows]
        if draws == 1:
            return its
        # In float64, so that what is the same in all draws stays what it is.
        return its.double().view(draws, len(its) // draws, *its.shape[1:]).mean(0)

    values = {name: mean(value) for name, value in result.values.items()}
    curves = {name: Curve(mean(c.x), mean(c.y)) for name, c in result.curves.items()}
    return Scores(values, curves, result.undefined)
