"""Does a metric of maps, or of images, keep its contract?"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial

import torch
from torch import Tensor

from xaibench.checks import memory, model_state, surroundings
from xaibench.checks.check import Check, NotApplicableError, Note, NotRunError, RefusedError, told
from xaibench.checks.comparing import TOLERANCE, gap, invariant, well_made
from xaibench.checks.interruption import interrupted
from xaibench.checks.other_parameters import variants
from xaibench.checks.predictions import prediction_checks
from xaibench.checks.scoring import Scoring, columns, declares, protocols, scored, unreasoned
from xaibench.checks.stage import OTHERS, USUAL, Stage
from xaibench.engine import Batch
from xaibench.errors import UserError
from xaibench.metrics.base import (
    ComparisonMetric,
    ImageMetric,
    Metric,
    PredictionMetric,
    Scores,
    check_promises,
)
from xaibench.models.base import Classifier

_FIRST = "gives the numbers that it names, one an image"
_MAPS = "leaves the maps as found"


def metric_checks(metric: Metric) -> list[Check]:
    """Return the checks of a metric, on small networks; of predictions, on seeded ones."""
    first = [
        Check("is a frozen dataclass with a docstring", partial(well_made, metric)),
        Check("declares direction and range", partial(declares, metric)),
    ]
    if isinstance(metric, PredictionMetric):
        return first + prediction_checks(metric)
    return first + _Trial(metric).checks()


class _Trial:
    """A metric under trial."""

    def __init__(self, metric: Scoring) -> None:
        self.metric = metric
        self._scores: dict[Stage, Scores] = {}

    def checks(self) -> list[Check]:
        many = (self.usual, *self._heads())
        checks = [Check(_FIRST, partial(self.gives_numbers, self.usual), str(self.usual))]
        checks += [
            Check(promise.replace("explains", "scores"), partial(self.gives_numbers, s), str(s))
            for promise, stages in OTHERS.items()
            for s in map(self._large_enough, stages)
        ]
        for stage in many:
            for promise, act in {
                "keeps to its range": self.keeps_to_its_range,
                "gives a reason for NaN": self.gives_reasons,
                "gives the same twice": self.repeats,
                "whole batch = one by one = permuted": self.is_invariant,
                "counts its passes as declared": self.costs_as_declared,
            }.items():
                checks.append(Check(promise, partial(act, stage), str(stage)))
        checks += [
            Check("takes a constant map", self.takes_constant_maps),
            Check("depends on the map", self.depends_on_the_map),
            Check("says every parameter in its protocol id", self.says_its_parameters),
        ]
        for promise in (_MAPS, *model_state.PROMISES, *surroundings.PROMISES):
            checks.append(Check(promise, partial(self.leaves_as_found, promise)))
        checks.append(Check("goes on after an exception", self.goes_on))
        checks.append(Check("keeps memory flat", self.keeps_memory_flat))
        return checks

    @cached_property
    def usual(self) -> Stage:
        return self._large_enough(USUAL)

    def _heads(self) -> tuple[Stage, ...]:
        others = Stage("single_logit", channels=1, size=(33, 47)), Stage("multilabel", classes=4)
        return tuple(map(self._large_enough, others))

    def _large_enough(self, stage: Stage) -> Stage:
        """Return the stage, twice as large where its images are too small for the metric."""
        try:
            self.metric.check(stage.size)
        except UserError:
            return replace(stage, size=(2 * stage.size[0], 2 * stage.size[1]))
        except Exception:
            pass  # a check tells of it
        return stage

    def score(self, stage: Stage, model: Classifier, batch: Batch, maps: Tensor) -> Scores:
        metric = self.metric
        try:
            metric.check(stage.size)
        except UserError as reason:
            raise RefusedError(str(reason)) from None
        with surroundings.kept():
            return scored(self.metric, stage, model, batch, maps)

    def scores(self, stage: Stage) -> Scores:
        """Return the scores of a stage, made once; NotRunError where there are none."""
        if stage not in self._scores:
            try:
                why = self.gives_numbers(stage)
            except RefusedError:
                raise
            except (Exception, SystemExit) as error:
                why = told(error)
            if why is not None:
                raise NotRunError(f"there are no scores to try it on: {why}; see '{_FIRST}'")
        return self._scores[stage]

    def gives_numbers(self, stage: Stage) -> str | None:
        batch = stage.batch()
        torch.manual_seed(0)
        scores = self.score(stage, stage.model(), batch, stage.maps())
        check_promises(self.metric, scores, batch)
        for name, values in scores.values.items():
            if not values.is_floating_point():
                return f"{name} is {values.dtype}; must be floating point"
            if values.isinf().any():
                return f"{name} is infinite; NaN, with a reason, where there is no value"
        self._scores[stage] = scores
        return None

    def keeps_to_its_range(self, stage: Stage) -> str | None:
        return self._outside(self.scores(stage))

    def _outside(self, scores: Scores) -> str | None:
        for name, values in scores.values.items():
            low, high = self.metric.value_bounds(name)
            outside = values[(values < low - TOLERANCE) | (values > high + TOLERANCE)]
            if len(outside):
                return f"{name} gives {outside[0]:.4g}, outside [{low}, {high}]"
        return None

    def gives_reasons(self, stage: Stage) -> str | None:
        return unreasoned(self.scores(stage))

    def repeats(self, stage: Stage) -> str | None:
        first = columns(self.scores(stage))
        torch.manual_seed(1)
        again = self.score(stage, stage.model(), stage.batch(), stage.maps())
        found = gap(first, columns(again))
        return (
            f"differ by {found:.2g}; draw from xaibench.randomness by batch.seeds" * (found > 0)
            or None
        )

    def is_invariant(self, stage: Stage) -> str | None:
        whole, model, maps = self.scores(stage), stage.model(), stage.maps()
        ids = stage.batch().ids

        def values(part: Batch) -> Tensor:
            own = maps[[ids.index(i) for i in part.ids]]
            return columns(self.score(stage, model, part, own))

        return invariant(values, stage.batch(), columns(whole))

    def costs_as_declared(self, stage: Stage) -> str | None:
        self.scores(stage)
        if isinstance(self.metric, ComparisonMetric):
            raise NotApplicableError("it costs what the explainer's maps of other models cost")
        model, batch = stage.model(), stage.batch()
        with surroundings.kept():
            declared = self.metric.cost(model, batch)
        before = model.passes.copy()
        self.score(stage, model, batch, stage.maps())
        counted = model.passes.since(before)
        if declared is None:
            raise NotApplicableError("`cost` declares nothing: nobody can say before")
        if declared == counted:
            return Note(f"{counted.forward} forward, {counted.backward} backward")
        return (
            f"`cost` says {declared.forward} forward and {declared.backward} backward passes of "
            f"{len(batch)} images, counted were {counted.forward} and {counted.backward}"
        )

    def takes_constant_maps(self) -> str | None:
        self._only_of_maps()
        stage = self.usual
        for value in (0.0, 1.0):
            maps = torch.full_like(stage.maps(), value)
            batch = stage.batch()
            scores = self.score(stage, stage.model(), batch, maps)
            check_promises(self.metric, scores, batch)
            if why := self._outside(scores) or unreasoned(scores):
                return f"of a map of {value:g} everywhere: {why}"
        return None

    def depends_on_the_map(self) -> str | None:
        self._only_of_maps()
        stage = self.usual
        first = columns(self.scores(stage))
        other = self.score(stage, stage.model(), stage.batch(), stage.maps(seed=2))
        return "other maps score the same" if gap(first, columns(other)) == 0 else None

    def says_its_parameters(self) -> str | None:
        stage, silent = self.usual, []
        first = self.scores(stage)
        ids = protocols(self.metric)
        for parameter, other in variants(self.metric):
            if protocols(other) != ids:
                continue
            try:
                scores = _Trial(other).score(stage, stage.model(), stage.batch(), stage.maps())
            except (UserError, RefusedError):
                continue
            if sorted(scores.values) != sorted(first.values) or gap(
                columns(first), columns(scores)
            ):
                silent.append(f"{parameter}={getattr(other, parameter)}")
        if silent:
            return f"scores with {', '.join(silent)} differ under one id; see `definition`"
        return None

    @cached_property
    def _changes(self) -> dict[str, str]:
        stage = self.usual
        self.scores(stage)
        model = model_state.unusual(stage.model())
        state, seen = model_state.ModelState(model), []

        def act() -> None:
            seen.append((stage.batch(), stage.maps()))
            scored(self.metric, stage, model, *seen[-1])

        found = surroundings.changes(act) | state.changes()
        batch, maps = seen[-1]
        if why := model_state.batch_changes(batch, stage.batch()):
            found[model_state.IMAGES] = why
        if not torch.equal(maps, stage.maps()):
            found[_MAPS] = "the maps were changed in place; work on a clone"
        return found

    def leaves_as_found(self, promise: str) -> str | None:
        return self._changes.get(promise)

    def goes_on(self) -> str | None:
        stage = self.usual
        wanted = columns(self.scores(stage))
        model, batch, maps = stage.model(), stage.batch(), stage.maps()
        act = lambda: columns(scored(self.metric, stage, model, batch, maps))
        if why := interrupted(model, act, wanted, 10 * TOLERANCE):
            return why
        found = gap(wanted, columns(self.score(stage, model, batch, maps)))
        if found > 10 * TOLERANCE:
            return f"after a pass that failed, the next scores differ by {found:.2g}"
        return None

    def keeps_memory_flat(self) -> str | None:
        self.scores(self.usual)
        stage = replace(self.usual, images=1)
        model = stage.model()

        def call(number: int) -> None:
            self.score(stage, model, stage.batch(seed=number), stage.maps(seed=number))

        return memory.flat(call)

    def _only_of_maps(self) -> None:
        if isinstance(self.metric, ImageMetric):
            raise NotApplicableError("it scores images, and sees no map")
