"""Cells of work: explain a block of images, score the maps, and say so row by row."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaibench.config.run_config import plugin_parameters
from xaibench.engine import Batch, Maps
from xaibench.engine.backends import BACKENDS
from xaibench.engine.costs import Cost, measured
from xaibench.engine.device import device_name
from xaibench.engine.known import KnownScores
from xaibench.errors import PluginError, UserError
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
from xaibench.runs.ledger import Ledger
from xaibench.runs.limits import Watch
from xaibench.runs.rows import OUTCOMES, Block, Outcome, Row, RunMetric, curve_rows
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
        watch: over each call of a plugin.
    """

    model: Classifier
    metrics: Mapping[str, Metric]
    segments: str
    twin: Classifier | None = None
    seed: int = 0
    watch: Watch = field(default_factory=Watch)
    _others: dict[str, Mapping[Any, Classifier]] = field(default_factory=dict, init=False)

    def score_cells(self, cells: Mapping[Cell, Explainer], block: Block) -> list[CellResult]:
        """Explain a block by several explainers, score all their maps at once; return the rows.

        Each metric sees the maps of all explainers as one batch, so that its passes fill batches
        even where a block is small. What scoring cost, further draws among it, is shared among
        them by their numbers of maps.
        """
        ledger, made, results = Ledger((self.model, self.twin), block), {}, {}
        for cell, each in cells.items():
            with ledger.noting(None, {cell: 1}):
                made[cell] = self._explained(cell, each, block.batch)
        names = ", ".join(cell.folder for cell in cells)
        with measured(self.model, self.twin) as cost:
            for cell, each in made.items():
                with ledger.noting(None, {cell: 1}):
                    made[cell] = self._drawn(cell, each, block.batch)
            every, counts = list(made.values()), {cell: each.count for cell, each in made.items()}
            scored, maps = scored_batch(every, block.batch)
            for each in self._of(MapMetric, ComparisonMetric):
                with ledger.noting(each.label, counts):
                    results[each.label] = self._scored(each, scored, maps, every, names)
        KnownScores.keep_only(self.model, block.batch)
        done = []
        for number, (cell, each) in enumerate(made.items()):
            own = {label: its[number] for label, its in results.items()}
            timing = _scoring(cost, each.count / len(scored) if len(scored) else 1 / len(made))
            result = self._result(cell, each, own, block, timing)
            done.append(replace(result, ledger=ledger.rows(cell)))
        return done

    def score_images(self, cell: Cell, block: Block) -> CellResult:
        """Score a block's images by every metric that needs no map; keep their superpixels."""
        scores, ledger = [], Ledger((self.model,), block)
        with measured(self.model) as cost:
            for each in self._of(ImageMetric):
                with ledger.noting(each.label, {cell: 1}):
                    result = self._of_images(each, cell, block.batch)
                about = {"params": json.dumps(plugin_parameters(each.metric), sort_keys=True)}
                scores += _rows(each, result, block, [OUTCOMES["ok"]] * len(block.batch), about)
        superpixels = block.batch.segments.cpu().numpy().astype(np.int32)
        timing = self._about(cell, block) | _scoring(cost)
        return CellResult(
            scores, [], timing, maps=None, segments=superpixels, ledger=ledger.rows(cell)
        )

    def _of(self, *kinds: type[Metric]) -> list[RunMetric]:
        return [
            RunMetric(metric, label, self.segments, self.model.precision)
            for label, metric in self.metrics.items()
            if isinstance(metric, kinds)
        ]

    def _explained(self, cell: Cell, explainer: Explainer, batch: Batch) -> Explained:
        before, begun = self.model.passes.copy(), time.perf_counter()
        name = f"explainer {cell.folder}"
        act = partial(Explained.of, explainer, self.model, batch)
        with self.model.as_found():  # outside of what may be interrupted
            made = self.watch.attempt(name, act)
        if isinstance(made, Explained):
            return made
        passes, seconds = self.model.passes.since(before), time.perf_counter() - begun
        return Explained.failed(explainer, batch, made, passes, seconds)

    def _drawn(self, cell: Cell, made: Explained, batch: Batch) -> Explained:
        """Return the block with all draws; none further of one whose maps failed all."""
        if made.explainer.draws == 1 or not made.at:
            return made
        act = partial(made.drawn, self.model, batch)
        with self.model.as_found():
            drawn = self.watch.attempt(f"further draws of {cell.folder}", act)
        return made.spoilt(drawn) if isinstance(drawn, Outcome) else drawn

    def _of_images(self, asked: RunMetric, cell: Cell, batch: Batch) -> Scores | Outcome:
        """Return what a metric says of images without a map."""

        def act() -> Scores:
            scores = asked.metric.score_images(self.model, batch)
            check_promises(asked.metric, scores, batch)
            return scores

        try:
            with self.model.as_found():
                return self.watch.attempt(f"metric {asked.label} of {cell.folder}", act)
        except (UserError, PluginError):
            raise
        except (Exception, SystemExit) as error:
            return Outcome.of(error)

    def _scored(
        self, asked: RunMetric, scored: Batch, maps: Maps, made: Sequence[Explained], name: str
    ) -> list[Scores | Outcome]:
        """Return what a metric says of each explainer's maps; it may fail of one of them alone."""
        if not len(scored):
            return [Scores({})] * len(made)
        act = partial(self._scores, asked, scored, maps, made)
        try:
            with self.model.as_found():
                whole = self.watch.attempt(f"metric {asked.label} of {name}", act)
        except (UserError, PluginError):  # the user's or the plugin's mistake: it would fail always
            raise
        except (Exception, SystemExit) as error:
            whole = Outcome.of(error)
            if len(made) > 1:
                found = []
                for number, (its, each) in enumerate(zip(_ranges(made), made, strict=True)):
                    own = scored.take(its), maps[list(its)], [each], f"{name} ({number})"
                    found += self._scored(asked, *own)
                return found
        if isinstance(whole, Outcome):
            return [whole] * len(made)
        parts = zip(_ranges(made), made, strict=True)
        return [_part(whole, slice(its.start, its.stop), len(e.draws)) for its, e in parts]

    def _scores(
        self, asked: RunMetric, scored: Batch, maps: Maps, made: Sequence[Explained]
    ) -> Scores:
        """Return what a metric says of all maps, and of those that other models give."""
        metric = asked.metric
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
        results: Mapping[str, Scores | Outcome],
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
            result = results[each.label]
            scores += _rows(each, result, block, made.outcomes, about)
            if isinstance(result, Scores):
                curves += curve_rows(result, block, made.at, cell.explainer, each.label)
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
            "device": _taken_on(self.model),
        }


def _taken_on(model: Classifier) -> str:
    """Return what a time was taken on, and through what."""
    through = None if model.backend == "eager" else BACKENDS[model.backend].version()
    return hardware(device_name(model.device), torch.get_num_threads(), through=through)


def _ranges(made: Sequence[Explained]) -> Iterator[range]:
    """Yield which rows of the scored batch each explainer's maps are."""
    first = 0
    for each in made:
        yield range(first, first + each.count)
        first += each.count


def _rows(
    asked: RunMetric,
    result: Scores | Outcome,
    block: Block,
    outcomes: Sequence[Outcome],
    about: Mapping[str, object],
) -> list[Row]:
    """Return a metric's rows; where it failed, with that outcome for all that it should score."""
    if isinstance(result, Outcome):
        outcomes = [result if outcome.scored else outcome for outcome in outcomes]
        result = Scores({})
    return asked.rows(result, block, outcomes, about)


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
