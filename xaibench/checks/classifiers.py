"""What every classifier keeps that a model plugin has built, whatever it is for."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaibench.checks.check import NotApplicableError
from xaibench.checks.comparing import gap
from xaibench.checks.interruption import interrupted
from xaibench.models.base import Classifier
from xaibench.types import Task

_EXACT = 1e-4
"""Batch norms and convolutions round otherwise in another batch, the more the deeper."""


@dataclass(frozen=True)
class Order:
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


def normalises(model: Classifier, order: Order) -> str | None:
    images = order.images()
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


def repeats(model: Classifier, order: Order) -> str | None:
    images = order.images()
    with torch.no_grad():
        torch.manual_seed(1)
        one = model(images)
        torch.manual_seed(2)
        found = gap(one, model(images))
    return f"logits differ by {found:.2g} in evaluation mode" if found else None


def is_invariant(model: Classifier, order: Order) -> str | None:
    images = order.images()
    with torch.no_grad():
        found = gap(model(images), torch.cat([model(image[None]) for image in images]))
    if found > _EXACT:
        return f"differ by {found:.2g} of the largest logit, allowed {_EXACT:g}"
    return None


def counts_passes(model: Classifier, order: Order) -> str | None:
    images = order.images().requires_grad_(not model.scores_only)
    before, back = model.passes.copy(), 0 if model.scores_only else 3
    score = model.score(images, torch.zeros(3, dtype=torch.long)).sum()
    if back:
        torch.autograd.grad(score, images)
    counted = model.passes.since(before)
    if (counted.forward, counted.backward) != (3, back):
        return f"3 images there and back are counted as {counted.forward}, {counted.backward}"
    return None


def has_gradients(model: Classifier, order: Order) -> str | None:
    _not_of_scores_alone(model)
    images = order.images().requires_grad_()
    score = model.score(images, torch.zeros(3, dtype=torch.long), "logit")
    if not score.requires_grad:
        return "the score has no graph to take a gradient of"
    (gradient,) = torch.autograd.grad(score.sum(), images, allow_unused=True)
    if gradient is None or not gradient.isfinite().all():
        return "the gradient at the image is missing or not finite"
    return None if gradient.abs().sum() > 0 else "the gradient at the image is zero"


def names_modules(model: Classifier, order: Order) -> str | None:
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


def can_be_trained(model: Classifier, order: Order) -> str | None:
    _not_of_scores_alone(model)
    model.train()
    model(order.images()).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    if len(without) == len(list(model.parameters())):
        return "no weight has a gradient in training mode"
    return None


def can_be_copied(model: Classifier, order: Order) -> str | None:
    copied, images = copy.deepcopy(model), order.images()
    with torch.no_grad():
        return "a copy gives other logits" if gap(model(images), copied(images)) else None


def gives_probabilities(model: Classifier, order: Order) -> str | None:
    images = order.images()
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


def goes_on(model: Classifier, order: Order) -> str | None:
    images = order.images()
    with torch.no_grad():
        wanted = model(images)
    if model.head_module is None:
        raise NotApplicableError("it names no head at which a pass could be made to fail")
    act = lambda: model.score(images, torch.zeros(3, dtype=torch.long))
    if why := interrupted(model, act, act().detach(), _EXACT):
        return why
    with torch.no_grad():
        found = gap(wanted, model(images))
    return f"after a pass that failed, logits differ by {found:.2g}" if found else None


def _not_of_scores_alone(model: Classifier) -> None:
    if model.scores_only:
        raise NotApplicableError("it gives scores alone, and says so: no gradients, no layers")
