"""Explainers that are wrong in one thing each, beside the promise that they break."""

from __future__ import annotations

import os
import random
import time
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from xaibench.explainers.base import Explainer
from xaibench.models.base import PassCount
from xaibench.randomness import NOISE, random_uniform

FIRST = "gives finite maps of the images' height and width"
KEPT: list[object] = []


def gradient(model, batch, space="logit"):
    """A sound map, for plugins that break something else."""
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, space).sum()
    return torch.autograd.grad(score, images)[0].sum(1)


class Sound(Explainer):
    name: ClassVar[str] = "sound"

    def attribute(self, model, batch):
        return gradient(model, batch)


def explainer(attribute, **more) -> Explainer:
    """A well-made plugin around one function."""
    own = {"attribute": attribute, "__doc__": "A test's plugin."} | more
    return dataclass(frozen=True)(type("Wrong", (Sound,), own))()


def exits_at_once(self, model, batch):
    raise SystemExit(0)


def exits_later(self, model, batch):
    KEPT.append(1)
    if len(KEPT) > 1:
        raise SystemExit(0)
    return gradient(model, batch)


def hangs(self, model, batch):
    while True:
        time.sleep(0.01)


def swaps_height_and_width(self, model, batch):
    return gradient(model, batch).mT


def assumes_square(self, model, batch):
    side = batch.images.shape[2]
    return gradient(model, batch).reshape(len(batch), side, side)


def assumes_even(self, model, batch):
    maps = gradient(model, batch)
    small = torch.nn.functional.avg_pool2d(maps[:, None], 2)
    return small.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, 0]


def assumes_colour(self, model, batch):
    return gradient(model, batch) * batch.images[:, 2]


def squeezes(self, model, batch):
    return gradient(model, batch).squeeze()


def two_classes_only(self, model, batch):
    assert model.logits(batch.images[:1]).shape[1] <= 4, "two classes"
    return gradient(model, batch)


def softmax_of_one(self, model, batch):
    images = batch.images.clone().requires_grad_()
    score = model(images).gather(1, batch.targets[:, None]).sum()
    return torch.autograd.grad(score, images)[0].sum(1)


def needs_one_label(self, model, batch):
    chosen = batch.labels.view(len(batch))
    return gradient(model, batch) * (1 + chosen[:, None, None])


def probabilities_only(self, model, batch):
    if model.head == "regression":
        raise ValueError("no probabilities")
    return gradient(model, batch)


def scales_to_one(self, model, batch):
    maps = gradient(model, batch)
    spread = batch.images.amax((1, 2, 3)) - batch.images.amin((1, 2, 3))
    return maps / spread[:, None, None]


def always_class_0(self, model, batch):
    images = batch.images.clone().requires_grad_()
    score = model.score(images, torch.zeros_like(batch.targets), "logit").sum()
    return torch.autograd.grad(score, images)[0].sum(1)


def batch_dependent(self, model, batch):
    maps = gradient(model, batch)
    return maps / maps.abs().max()


def unseeded(self, model, batch):
    maps = gradient(model, batch)
    return maps + 0.1 * maps.abs().max() * torch.rand(1, *maps.shape[1:])


def ignores_model(self, model, batch):
    one = torch.randn(model.input_shape, generator=torch.Generator().manual_seed(0))
    return (batch.images * one).sum(1) + batch.targets[:, None, None]


def not_finite(self, model, batch):
    return gradient(model, batch).log()


def wrong_shape(self, model, batch):
    return gradient(model, batch)[:, ::2]


def whole_numbers(self, model, batch):
    return (1000 * gradient(model, batch)).long()


def fails(self, model, batch):
    raise ValueError("no such thing")


def reseeds(self, model, batch):
    torch.manual_seed(0)
    return gradient(model, batch)


def reseeds_numpy(self, model, batch):
    np.random.seed(0)
    return gradient(model, batch)


def reseeds_random(self, model, batch):
    random.seed(0)
    return gradient(model, batch)


def other_dtype(self, model, batch):
    maps = gradient(model, batch)
    torch.set_default_dtype(torch.float64)
    return maps


def other_threads(self, model, batch):
    torch.set_num_threads(1)
    return gradient(model, batch)


def no_grad_mode(self, model, batch):
    with torch.enable_grad():
        maps = gradient(model, batch)
    torch.set_grad_enabled(False)
    return maps


def silences_warnings(self, model, batch):
    warnings.simplefilter("ignore")
    return gradient(model, batch)


def deterministic_flags(self, model, batch):
    torch.backends.cudnn.deterministic = True
    return gradient(model, batch)


def sets_environment(self, model, batch):
    os.environ["A_TEST_S_PLUGIN"] = str(len(KEPT))
    KEPT.append(1)
    return gradient(model, batch)


def leaves_a_file_open(self, model, batch):
    KEPT.append(open(os.devnull))  # noqa: SIM115
    return gradient(model, batch)


def keeps_every_batch(self, model, batch):
    KEPT.append(batch.images.clone())
    return gradient(model, batch)


def keeps_in_numpy(self, model, batch):
    KEPT.append(np.repeat(batch.images.numpy(), 1))
    return gradient(model, batch)


def leaves_a_hook(self, model, batch):
    model.net[0].register_forward_hook(lambda *_: None)
    return gradient(model, batch)


def training_mode(self, model, batch):
    maps = gradient(model, batch)
    model.net[0].train()
    return maps


def other_requires_grad(self, model, batch):
    model.requires_grad_(False)
    return gradient(model, batch)


def leaves_gradients(self, model, batch):
    images = batch.images.clone().requires_grad_()
    model.score(images, batch.targets, "logit").sum().backward()
    return images.grad.sum(1)


def changes_weights(self, model, batch):
    maps = gradient(model, batch)
    with torch.no_grad():
        model.net.fc.weight.mul_(1.01)
    return maps


def halves_the_batch_size(self, model, batch):
    model.batch_size = 1
    return gradient(model, batch)


def changes_images(self, model, batch):
    maps = gradient(model, batch)
    batch.images.mul_(0.99)
    return maps


def asks_gradients_of_the_images(self, model, batch):
    batch.images.requires_grad_()
    score = model.score(batch.images, batch.targets, "logit").sum()
    return torch.autograd.grad(score, batch.images)[0].sum(1)


def double_precision(self, model, batch):
    return gradient(model, batch).double()


def keeps_the_graph(self, model, batch):
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, "logit").sum()
    return torch.autograd.grad(score, images, create_graph=True)[0].sum(1) + 0 * images.sum(1)


def hides_failures(self, model, batch):
    try:
        return gradient(model, batch)
    except RuntimeError:
        return batch.images.mean(1)


def hook_after_exception(self, model, batch):
    handle = model.net[0].register_forward_hook(lambda *_: None)
    maps = gradient(model, batch)
    handle.remove()
    return maps


def two_passes_for_one(self, model, batch):
    return (gradient(model, batch) + gradient(model, batch)) / 2


def noise_about_it(self, model, batch):
    noise = random_uniform(batch.seeds, batch.images[0, 0].numel(), NOISE)
    return gradient(model, batch) + noise.view(batch.images[:, 0].shape).float()


one_each = lambda self, model, batch: PassCount(len(batch), len(batch))
its_gradient = lambda self, weights, batch: weights.sum(1)

# Name -> what it does, and the promise that it breaks; `more` are further members of the class.
WRONG = {
    FIRST: [not_finite, wrong_shape, whole_numbers, fails, exits_at_once],
    "takes images that are not square": [swaps_height_and_width, assumes_square],
    "takes odd heights and widths": [assumes_even],
    "takes images of one channel": [assumes_colour],
    "takes a single image": [squeezes],
    "takes constant images": [scales_to_one],
    "explains any of 16 classes": [two_classes_only],
    "explains a single logit": [softmax_of_one],
    "explains any of several labels": [needs_one_label],
    "explains any output of a regression": [probabilities_only],
    "explains each class differently": [always_class_0],
    "whole batch = one by one = permuted": [batch_dependent],
    "gives the same twice": [unseeded],
    "depends on the model": [ignores_model],
    "leaves the global random generators as found": [reseeds, reseeds_numpy, reseeds_random],
    "leaves the default dtype as found": [other_dtype],
    "leaves the number of threads as found": [other_threads],
    "leaves grad mode as found": [no_grad_mode],
    "leaves the warnings filters as found": [silences_warnings],
    "leaves flags of precision and determinism as found": [deterministic_flags],
    "leaves environment and working folder as found": [sets_environment],
    "leaves no file open": [leaves_a_file_open],
    "keeps memory flat": [keeps_every_batch, keeps_in_numpy],
    "leaves no hook on the model": [leaves_a_hook],
    "leaves training mode as found": [training_mode],
    "leaves requires_grad as found": [other_requires_grad],
    "leaves the weights' .grad as found": [leaves_gradients],
    "leaves weights and buffers as found": [changes_weights],
    "leaves modules and options of the model as found": [halves_the_batch_size],
    "leaves images and targets as found": [changes_images, asks_gradients_of_the_images],
    "gives float32 maps without a graph": [double_precision, keeps_the_graph],
    "goes on after an exception": [hides_failures, hook_after_exception],
}
DECLARED = {
    "counts its passes as declared": explainer(two_passes_for_one, cost=one_each),
    "is exact on a linear model": explainer(noise_about_it, on_linear_model=its_gradient),
}
