"""Does an explainer keep its contract?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial

import torch
from torch import Tensor

from xaibench.checks import memory, model_state, surroundings
from xaibench.checks.check import Check, NotApplicableError, Note, NotRunError, RefusedError, told
from xaibench.checks.comparing import TOLERANCE, gap, invariant, well_made
from xaibench.checks.interruption import interrupted
from xaibench.checks.stage import NETWORKS, OTHERS, USUAL, Network, Size, Stage, linear_model
from xaibench.engine import Batch
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier

_FIRST = "gives finite maps of the images' height and width"
_CLASSES = Stage(classes=16)
_LINEAR: tuple[tuple[int, Size], ...] = ((3, (33, 47)), (1, (24, 20)))
_EXACT = 1e-4
"""Largest error on a linear model, relative to the largest value: many float32 are summed up."""


def explainer_checks(explainer: Explainer) -> list[Check]:
    """Return the checks of an explainer: small networks, every kind of head, odd sizes."""
    trial = _Trial(explainer)
    checks = [
        Check("is a frozen dataclass with a docstring", partial(well_made, explainer)),
        Check("takes one of the networks it is tried on", trial.takes_a_network),
        Check(_FIRST, partial(trial.gives_maps, USUAL), str(USUAL)),
    ]
    checks += [
        Check(promise, partial(trial.gives_maps, stage), str(stage))
        for promise, stages in OTHERS.items()
        for stage in stages
    ]
    checks.append(Check("takes constant images", partial(trial.takes_constant_images, USUAL)))
    for stage in (
        USUAL,
        Stage("single_logit", channels=1, size=(33, 47)),
        Stage("multilabel", classes=4),
    ):
        for promise, act in {
            "gives the same twice": trial.repeats,
            "whole batch = one by one = permuted": trial.is_invariant,
            "depends on the model": trial.depends_on_the_model,
            "counts its passes as declared": trial.costs_as_declared,
        }.items():
            checks.append(Check(promise, partial(act, stage), str(stage)))
    checks.append(
        Check("explains each class differently", trial.tells_classes_apart, str(_CLASSES))
    )
    for channels, size in _LINEAR:
        on = f"{channels} channel{'s' * (channels > 1)}, {size[0]}x{size[1]}"
        checks.append(
            Check("is exact on a linear model", partial(trial.is_exact, channels, size), on)
        )
    checks.append(Check("gives float32 maps without a graph", trial.gives_plain_maps))
    for promise in (*model_state.PROMISES, *surroundings.PROMISES):
        checks.append(Check(promise, partial(trial.leaves_as_found, promise)))
    checks.append(Check("goes on after an exception", trial.goes_on))
    checks.append(Check("keeps memory flat", trial.keeps_memory_flat))
    return checks


class _Trial:
    """An explainer under trial; what several checks ask is done once."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        self._maps: dict[Stage, Tensor] = {}
        self._lacking: dict[Stage, Exception] = {}

    @cached_property
    def refusals(self) -> dict[Network, str]:
        """Network -> why the explainer refuses it."""
        found = {}
        for network in NETWORKS:
            try:
                self.explainer.check(replace(USUAL, network=network).model())
            except UserError as reason:
                found[network] = str(reason)
        return found

    @cached_property
    def network(self) -> Network:
        return next((n for n in NETWORKS if n not in self.refusals), NETWORKS[0])

    def takes_a_network(self) -> str | None:
        if len(self.refusals) == len(NETWORKS):
            said = "; ".join(f"{network}: {why}" for network, why in self.refusals.items())
            return f"`check` refuses all of them: {said}"
        said = "".join(f"; refuses {network}: {why}" for network, why in self.refusals.items())
        return Note(f"tried on a small {self.network}{said}")

    def prepared(self, stage: Stage, seed: int = 0) -> Classifier:
        """Return the stage's model; RefusedError where the explainer cannot take it."""
        model = replace(stage, network=self.network).model(seed)
        self.check(model)
        return model

    def check(self, model: Classifier) -> None:
        try:
            self.explainer.admit(model)
        except UserError as reason:
            raise RefusedError(str(reason)) from None

    def explain(self, model: Classifier, batch: Batch) -> Tensor:
        with surroundings.kept():
            return self.explainer(model, batch).maps

    def maps(self, stage: Stage) -> Tensor:
        """Return the maps of a stage, made once; NotRunError where there are none."""
        if stage not in self._maps and stage not in self._lacking:
            try:
                self.gives_maps(stage)
            except RefusedError:
                raise
            except (Exception, SystemExit) as error:
                self._lacking[stage] = NotRunError(
                    f"there are no maps to try it on: {told(error)}; see '{_FIRST}' and 'takes …'"
                )
        if stage in self._lacking:
            raise self._lacking[stage]
        return self._maps[stage]

    def gives_maps(self, stage: Stage) -> str | None:
        model = self.prepared(stage)
        torch.manual_seed(0)
        with surroundings.kept():
            explanation = self.explainer(model, stage.batch())
        self._maps[stage] = explanation.maps
        return "maps have values that are not finite" if "nan" in explanation.statuses else None

    def takes_constant_images(self, stage: Stage) -> str | None:
        batch = stage.batch()
        values = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None]
        constant = replace(batch, images=values.expand_as(batch.images).contiguous())
        model = self.prepared(stage)
        with surroundings.kept():
            statuses = self.explainer(model, constant).statuses
        return "maps have values that are not finite" if "nan" in statuses else None

    def repeats(self, stage: Stage) -> str | None:
        first = self.maps(stage)
        torch.manual_seed(1)  # a generator that happens to stand where it stood hides nothing
        found = gap(first, self.explain(self.prepared(stage), stage.batch()))
        return (
            f"differ by {found:.2g}; draw from xaibench.randomness by batch.seeds" * (found > 0)
            or None
        )

    def is_invariant(self, stage: Stage) -> str | None:
        whole, model = self.maps(stage), self.prepared(stage)
        return invariant(partial(self.explain, model), stage.batch(), whole)

    def depends_on_the_model(self, stage: Stage) -> str | None:
        self._not_of_controls()
        one = self.maps(stage)
        two = self.explain(self.prepared(stage, seed=1), stage.batch())
        return "another model's weights change no map" if _same(one, two) else None

    def tells_classes_apart(self) -> str | None:
        self._not_of_controls()
        batch, found = _CLASSES.batch(), {}
        self.maps(_CLASSES)
        for target in (0, 5, 15):
            targets = torch.full_like(batch.targets, target)
            model = self.prepared(_CLASSES)
            found[target] = self.explain(model, replace(batch, targets=targets))
        for one, other in ((0, 5), (0, 15), (5, 15)):
            if _same(found[one], found[other]):
                return f"classes {one} and {other} get the same maps; explain batch.targets"
        return None

    def costs_as_declared(self, stage: Stage) -> str | None:
        self.maps(stage)
        model, batch = self.prepared(stage), stage.batch()
        with surroundings.kept():
            declared = self.explainer.cost(model, batch)
            counted = self.explainer(model, batch).passes
        if declared is None:
            raise NotApplicableError("`cost` declares nothing: nobody can say before")
        if declared == counted:
            return Note(f"{counted.forward} forward, {counted.backward} backward")
        return (
            f"`cost` says {declared.forward} forward and {declared.backward} backward passes of "
            f"{len(batch)} images, counted were {counted.forward} and {counted.backward}"
        )

    def is_exact(self, channels: int, size: Size) -> str | None:
        model = linear_model(channels, size)
        stage = Stage("regression", channels, 3, size)
        batch = stage.batch()
        weights = model.module("fc").weight.detach()[batch.targets].view_as(batch.images)
        wanted = self.explainer.on_linear_model(weights, batch)
        if wanted is None:
            raise NotApplicableError("`on_linear_model` promises nothing of a linear model")
        self.check(model)
        got = self.explain(model, batch)
        found = gap(wanted.float(), got)
        if found > _EXACT:
            return f"off by {found:.2g} of the largest value, allowed {_EXACT:g}"
        return Note(f"off by {found:.1g} of the largest value")

    def gives_plain_maps(self) -> str | None:
        self.maps(USUAL)
        model = self.prepared(USUAL)
        with surroundings.kept():
            maps = self.explainer.attribute(model, USUAL.batch())
        if maps.dtype != torch.float32:
            return f"maps are {maps.dtype}; give .float() (a run makes float32 of them)"
        if maps.requires_grad:
            return "maps hold on to the graph of their gradients; give .detach() (a run does it)"
        return None

    @cached_property
    def _changes(self) -> dict[str, str]:
        """Promise -> what `attribute` itself, without a run's care, leaves changed."""
        self.maps(USUAL)  # what is done once, at the first call, is done
        model = model_state.unusual(self.prepared(USUAL))
        state, batches = model_state.ModelState(model), []

        def act() -> None:
            batches.append(USUAL.batch())
            self.explainer.admit(model)
            self.explainer.attribute(model, batches[-1])

        found = surroundings.changes(act) | state.changes()
        if told_of := model_state.batch_changes(batches[-1], USUAL.batch()):
            found[model_state.IMAGES] = told_of
        return found

    def leaves_as_found(self, promise: str) -> str | None:
        return self._changes.get(promise)

    def goes_on(self) -> str | None:
        model, batch = self.prepared(USUAL), USUAL.batch()
        wanted = self.maps(USUAL)
        act: Callable[[], Tensor] = lambda: self.explainer.attribute(model, batch)
        if why := interrupted(model, act, wanted, 10 * TOLERANCE):
            return why
        found = gap(wanted, self.explain(model, batch))
        if found > 10 * TOLERANCE:
            return f"after a pass that failed, the next maps differ by {found:.2g}"
        return None

    def keeps_memory_flat(self) -> str | None:
        self.maps(USUAL)
        stage = replace(USUAL, images=1)
        model = self.prepared(stage)
        return memory.flat(lambda number: self.explain(model, stage.batch(seed=number)))

    def _not_of_controls(self) -> None:
        if self.explainer.control:
            raise NotApplicableError("a control knows nothing of the model")


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-7)
