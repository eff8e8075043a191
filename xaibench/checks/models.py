"""Does a model plugin keep its contract?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property, partial

import torch

from xaibench.checks import classifiers, model_state, surroundings
from xaibench.checks.check import Check, Note, NotRunError, RefusedError, told
from xaibench.checks.classifiers import Order
from xaibench.checks.comparing import gap, well_made
from xaibench.errors import UserError
from xaibench.models.base import Classifier, Model, head_for

_FIRST = "builds a classifier for the data set's task, classes and images"

_USUAL = Order()
_OTHERS = {
    "builds for 16 classes": Order("multiclass", 16),
    "builds for several labels": Order("multilabel", 5),
    "builds for regression": Order("regression", 3),
    "builds for images of one channel": Order(channels=1),
    "builds for images that are not square": Order(size=(64, 96)),
    "builds for odd heights and widths": Order(size=(65, 95)),
}


def model_checks(model: Model) -> list[Check]:
    """Return the checks of a model plugin, for every task, small images, random weights."""
    trial = _Trial(model)
    checks = [
        Check("is a frozen dataclass with a docstring", partial(well_made, model)),
        Check("builds for something that it is tried on", trial.builds_for_something),
        Check(_FIRST, partial(trial.builds_as_asked, _USUAL), str(_USUAL)),
    ]
    checks += [
        Check(promise, partial(trial.builds_as_asked, order), str(order))
        for promise, order in _OTHERS.items()
    ]
    tasks = [_USUAL, *(order for order in _OTHERS.values() if order.task != "binary")]
    checks += [
        Check(
            "gives scores that are probabilities",
            partial(trial.of_built, classifiers.gives_probabilities, o),
            str(o),
        )
        for o in tasks
        if o.task != "regression"
    ]
    for promise, act in {
        "normalises images inside": partial(trial.of_built, classifiers.normalises),
        "gives the same twice": partial(trial.of_built, classifiers.repeats),
        "whole batch = one by one": partial(trial.of_built, classifiers.is_invariant),
        "counts its passes": partial(trial.of_built, classifiers.counts_passes),
        "lets gradients reach the image": partial(trial.of_built, classifiers.has_gradients),
        "names modules that exist": partial(trial.of_built, classifiers.names_modules),
        "can be trained": partial(trial.of_built, classifiers.can_be_trained),
        "can be copied": partial(trial.of_built, classifiers.can_be_copied),
        "loads its own state dict": trial.loads_its_state,
        "is drawn by torch's seed alone": trial.is_drawn_by_seed,
        "goes on after an exception": partial(trial.of_built, classifiers.goes_on),
    }.items():
        checks.append(Check(promise, act))
    left = [p for p in model_state.PROMISES if p != model_state.IMAGES]
    for promise in (*left, model_state.IMAGES, *surroundings.PROMISES):
        checks.append(Check(promise, partial(trial.leaves_as_found, promise)))
    return checks


class _Trial:
    """A model plugin under trial."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._built: dict[Order, Classifier | NotRunError | RefusedError] = {}

    def build(self, order: Order, seed: int = 0) -> Classifier:
        """Build by the plugin's own code, whose exceptions go through but for UserError."""
        names = tuple("abcdefghijklmnopqrstuvwxyz"[: order.classes])
        with torch.random.fork_rng(), surroundings.kept():
            torch.manual_seed(seed)
            try:
                return self.model.build(
                    task=order.task, classes=names, channels=order.channels, size=order.size
                )
            except UserError as reason:
                raise RefusedError(str(reason)) from None

    def built(self, order: Order = _USUAL) -> Classifier:
        """Return a copy of what is built for an order, in evaluation mode."""
        if order not in self._built:
            try:
                self._built[order] = self.build(order)
            except RefusedError as reason:
                self._built[order] = reason
            except (Exception, SystemExit) as error:
                self._built[order] = NotRunError(
                    f"there is no model: {told(error)}; see '{_FIRST}'"
                )
        found = self._built[order]
        if isinstance(found, Exception):
            raise found
        if not isinstance(found, Classifier):
            raise NotRunError(f"there is no model but a {type(found).__name__}; see '{_FIRST}'")
        return copy.deepcopy(found).eval()

    def of_built(
        self, act: Callable[[Classifier, Order], str | None], order: Order = _USUAL
    ) -> str | None:
        return act(self.built(order), order)

    def builds_for_something(self) -> str | None:
        refused = {}
        for order in (_USUAL, *_OTHERS.values()):
            try:
                self.built(order)
            except RefusedError as reason:
                refused[order] = str(reason)
            except NotRunError:
                pass
        if len(refused) == 1 + len(_OTHERS):
            return f"refuses all of it: {next(iter(refused.values()))}"
        return Note(f"refuses {len(refused)} of {1 + len(_OTHERS)}") if refused else None

    def builds_as_asked(self, order: Order) -> str | None:
        model = self.build(order)
        if not isinstance(model, Classifier):
            return f"build gives {type(model).__name__}; must be an xaibench.Classifier"
        names = tuple("abcdefghijklmnopqrstuvwxyz"[: order.classes])
        wanted = {"classes": names, "input_shape": (order.channels, *order.size)}
        for name, value in wanted.items():
            if getattr(model, name) != value:
                return f"the classifier's {name} is {getattr(model, name)}; must be {value}"
        heads = [head_for(order.task, single_logit) for single_logit in (False, True)]
        if model.head not in heads:
            return f"the head is {model.head!r}, for {order.task} it must be {' or '.join(heads)}"
        outputs = 1 if model.head == "single_logit" else order.classes
        shape = tuple(model.eval()(order.images()).shape)
        if shape != (3, outputs):
            return f"logits of three images are {shape}; must be (3, {outputs})"
        return None

    def loads_its_state(self) -> str | None:
        one, images = self.built(), _USUAL.images()
        other = self.build(_USUAL, seed=1).eval()
        other.load_state_dict(one.state_dict())
        with torch.no_grad():
            same = gap(one(images), other(images)) == 0
        return (
            None if same else "what was loaded gives other logits; the state dict lacks something"
        )

    def is_drawn_by_seed(self) -> str | None:
        one, other = self.build(_USUAL).state_dict(), self.build(_USUAL).state_dict()
        odd = [k for k, v in one.items() if k not in other or gap(v.double(), other[k].double())]
        if odd or one.keys() != other.keys():
            return f"built twice under one seed of torch, {', '.join(odd[:3])} differ"
        return None

    @cached_property
    def _changes(self) -> dict[str, str]:
        model = model_state.unusual(self.built())
        state, images = model_state.ModelState(model), _USUAL.images()

        def passes() -> None:
            wanting = images.clone().requires_grad_(not model.scores_only)
            score = model.score(wanting, torch.zeros(3, dtype=torch.long)).sum()
            if not model.scores_only:
                torch.autograd.grad(score, wanting)
            with torch.no_grad():
                model.logits(images)

        def build() -> None:
            names = ("a", "b")
            self.model.build(task="binary", classes=names, channels=3, size=_USUAL.size)

        # Weights are drawn by torch's own generator, as everywhere; no other may be touched.
        found = surroundings.changes(build, generators=False)
        found |= surroundings.changes(passes) | state.changes()
        if not torch.equal(images, _USUAL.images()):
            found[model_state.IMAGES] = "the images were changed in place"
        return found

    def leaves_as_found(self, promise: str) -> str | None:
        return self._changes.get(promise)
