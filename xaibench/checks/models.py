"""Does a model plugin keep its contract?"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from xaibench.checks import model_state, surroundings
from xaibench.checks.check import Check, NotApplicableError, Note, NotRunError, RefusedError, told
from xaibench.checks.comparing import gap, well_made
from xaibench.checks.interruption import interrupted
from xaibench.errors import UserError
from xaibench.models.base import Classifier, Model, head_for
from xaibench.types import Task

_FIRST = "builds a classifier for the data set's task, classes and images"
_EXACT = 1e-4
"""Batch norms and convolutions round otherwise in another batch, the more the deeper."""


@dataclass(frozen=True)
class _Order:
    """What a data set asks of a model."""

    task: Task = "binary"
    classes: int = 2
    channels: int = 3
    size: tuple[int, int] = (64, 64)

    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(3, self.channels, *self.size, generator=generator)

    def __str__(self) -> str:
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{self.task}, {self.classes} classes, {channels}, {self.size[0]}x{self.size[1]}"


_USUAL = _Order()
_OTHERS = {
    "builds for 16 classes": _Order("multiclass", 16),
    "builds for several labels": _Order("multilabel", 5),
    "builds for regression": _Order("regression", 3),
    "builds for images of one channel": _Order(channels=1),
    "builds for images that are not square": _Order(size=(64, 96)),
    "builds for odd heights and widths": _Order(size=(65, 95)),
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
        Check("gives scores that are probabilities", partial(trial.gives_probabilities, o), str(o))
        for o in tasks
        if o.task != "regression"
    ]
    for promise, act in {
        "normalises images inside": trial.normalises,
        "gives the same twice": trial.repeats,
        "whole batch = one by one": trial.is_invariant,
        "counts its passes": trial.counts_passes,
        "lets gradients reach the image": trial.has_gradients,
        "names modules that exist": trial.names_modules,
        "can be trained": trial.can_be_trained,
        "can be copied": trial.can_be_copied,
        "loads its own state dict": trial.loads_its_state,
        "is drawn by torch's seed alone": trial.is_drawn_by_seed,
        "goes on after an exception": trial.goes_on,
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
        self._built: dict[_Order, Classifier | NotRunError | RefusedError] = {}

    def build(self, order: _Order, seed: int = 0) -> Classifier:
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

    def built(self, order: _Order = _USUAL) -> Classifier:
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

    def builds_as_asked(self, order: _Order) -> str | None:
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

    def gives_probabilities(self, order: _Order) -> str | None:
        model, images = self.built(order), order.images()
        with torch.no_grad():
            columns = model.probabilities(model.logits(images))
            scores = torch.stack(
                [
                    model.score(images, torch.full((3,), target), "prob")
                    for target in range(order.classes)
                ],
                dim=1,
            )
        if not scores.isfinite().all() or scores.min() < 0 or scores.max() > 1:
            return f"scores lie in [{scores.min():.3g}, {scores.max():.3g}]; must be in [0, 1]"
        if gap(scores, columns) > _EXACT:
            return "`score` and `probabilities` differ"
        off = float((scores.sum(1) - 1).abs().max())
        if order.task in ("binary", "multiclass") and off > 1e-4:
            return f"the classes' probabilities add up to 1 ± {off:.2g}; must be 1"
        return None

    def normalises(self) -> str | None:
        model, images = self.built(), _USUAL.images()
        for name in ("mean", "std"):
            shape = tuple(getattr(model, name).shape)
            if shape != (1, 3, 1, 1):
                return f"`{name}` of shape {shape}; must have one number a channel: (1, 3, 1, 1)"
        if not (model.std > 0).all() or not 0 <= model.mean.min() <= model.mean.max() <= 1:
            return (
                f"mean {model.mean.flatten().tolist()} and std {model.std.flatten().tolist()} "
                "must be in the unit of images in [0, 1], mean in it, std above 0"
            )
        seen: list[Tensor] = []
        model.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        with torch.no_grad():
            model.score(images, torch.zeros(3, dtype=torch.long))
        if not seen:
            return "`score` does not go through `net`"
        if gap((images - model.mean) / model.std, seen[0]) > _EXACT:
            return "`net` does not see (image - mean) / std; normalise by `mean` and `std` alone"
        return None

    def repeats(self) -> str | None:
        model, images = self.built(), _USUAL.images()
        with torch.no_grad():
            torch.manual_seed(1)
            one = model(images)
            torch.manual_seed(2)
            found = gap(one, model(images))
        return f"logits differ by {found:.2g} in evaluation mode" if found else None

    def is_invariant(self) -> str | None:
        model, images = self.built(), _USUAL.images()
        with torch.no_grad():
            found = gap(model(images), torch.cat([model(image[None]) for image in images]))
        if found > _EXACT:
            return f"differ by {found:.2g} of the largest logit, allowed {_EXACT:g}"
        return None

    def counts_passes(self) -> str | None:
        model, images = self.built(), _USUAL.images().requires_grad_()
        before = model.passes.copy()
        score = model.score(images, torch.zeros(3, dtype=torch.long)).sum()
        torch.autograd.grad(score, images)
        counted = model.passes.since(before)
        if (counted.forward, counted.backward) != (3, 3):
            return f"3 images there and back are counted as {counted.forward}, {counted.backward}"
        return None

    def has_gradients(self) -> str | None:
        model, images = self.built(), _USUAL.images().requires_grad_()
        score = model.score(images, torch.zeros(3, dtype=torch.long), "logit")
        if not score.requires_grad:
            return "the score has no graph to take a gradient of"
        (gradient,) = torch.autograd.grad(score.sum(), images, allow_unused=True)
        if gradient is None or not gradient.isfinite().all():
            return "the gradient at the image is missing or not finite"
        return None if gradient.abs().sum() > 0 else "the gradient at the image is zero"

    def names_modules(self) -> str | None:
        model = self.built()
        modules = dict(model.net.named_modules())
        known = {*modules, *dict(model.net.named_parameters())}
        for name in ("cam_layer", "linear_head", "pool", "head_module"):
            value = getattr(model, name)
            if value is not None and value not in modules:
                return f"{name} is {value!r}, which is no module of `net`; None where there is none"
        if model.linear_head and not isinstance(modules[model.linear_head], nn.Linear):
            return f"linear_head {model.linear_head!r} is no nn.Linear; None where there is none"
        odd = [name for stage in model.stages for name in stage if name not in known]
        return f"stages name {odd[0]!r}, no module or parameter of `net`" if odd else None

    def can_be_trained(self) -> str | None:
        model = self.built().train()
        model(_USUAL.images()).square().sum().backward()
        without = [n for n, p in model.named_parameters() if p.grad is None]
        if len(without) == len(list(model.parameters())):
            return "no weight has a gradient in training mode"
        return None

    def can_be_copied(self) -> str | None:
        model = self.built()
        copied, images = copy.deepcopy(model), _USUAL.images()
        with torch.no_grad():
            return "a copy gives other logits" if gap(model(images), copied(images)) else None

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

    def goes_on(self) -> str | None:
        model, images = self.built(), _USUAL.images()
        with torch.no_grad():
            wanted = model(images)
        if model.head_module is None:
            raise NotApplicableError("it names no head at which a pass could be made to fail")
        act = lambda: model.score(images, torch.zeros(3, dtype=torch.long))
        if why := interrupted(model, act):
            return why
        with torch.no_grad():
            found = gap(wanted, model(images))
        return f"after a pass that failed, logits differ by {found:.2g}" if found else None

    @cached_property
    def _changes(self) -> dict[str, str]:
        model = model_state.unusual(self.built())
        state, images = model_state.ModelState(model), _USUAL.images()

        def passes() -> None:
            wanting = images.clone().requires_grad_()
            score = model.score(wanting, torch.zeros(3, dtype=torch.long)).sum()
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
