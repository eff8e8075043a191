"""What captum's attributions share: parts, targets, one number a pixel, and nothing left behind.

Every plugin of the family hands captum a function (or, where captum hooks modules, a module) that
gives the score of each image's own target, so that captum's ``target`` is not needed. What captum
leaves on modules, in random states and in filters of warnings is put back.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from captum.attr import DeepLift
from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from xaibench.engine import Batch, Fill, Maps, PerImage, Pixels, Targets, in_batches
from xaibench.engine.hookable import TargetScore, check_rules, hookable, traced_network
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
from xaibench.networks.tracing import LINEAR, RESHAPING, Mark
from xaibench.randomness import random_uniform
from xaibench.types import Space

Attributions = Float[Tensor, "batch channel h w"]
"""What captum gives, of the size of the image or of a layer's maps."""
Channels = Literal["sum", "mean_abs", "max_abs"]
"""One number of a place's channels: their sum (signed), or mean or largest absolute value."""
Background = Literal["colours", "noise"]
"""Baselines drawn from an image's seed: of one uniformly random colour each, or of one a pixel."""
_BACKGROUND = 17


class Attribution(Explainer):
    """An attribution of captum: ``attributions`` in parts, then ``maps``."""

    def copies(self, model: Classifier, batch: Batch) -> int:
        """Return the passes of one image that are made side by side; a part is so much smaller."""
        return 1

    @abstractmethod
    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        """Return captum's attributions of a part of a batch."""

    @abstractmethod
    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        """Return one number a pixel."""

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        rows: list[Tensor] = []

        def work(part: slice) -> None:
            whole = batch.take(range(part.start, part.stop))
            size = max(1, model.batch_size // self.copies(model, batch))
            rows.append(torch.cat([self.attributions(model, few) for few in whole.split(size)]))

        with model.as_found(), quiet():
            in_batches(model, len(batch), work)
            return self.maps(torch.cat(rows).detach(), batch)


@dataclass(frozen=True)
class PixelAttribution(Attribution):
    """An attribution to every channel of every pixel.

    ``channels`` makes one number of a pixel's channels: ``sum`` (signed), ``mean_abs`` or
    ``max_abs`` (not negative).
    """

    channels: Channels = "sum"

    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        return one_channel(attributions, self.channels)

    def linear(self, weights: Pixels, batch: Batch) -> Pixels | None:
        """Return the attributions of a linear model; see ``on_linear_model``."""
        return None

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps | None:
        exact = self.linear(weights, batch)
        return None if exact is None else one_channel(exact, self.channels)


@dataclass(frozen=True)
class RegionAttribution(Attribution):
    """An attribution to regions of an image by hiding them; all channels have the same.

    One image at a time, since captum counts features over all images of a call; its copies fill
    a batch.
    """

    baseline: Fill = "black"
    space: Space = "prob"

    def copies(self, model: Classifier, batch: Batch) -> int:
        return model.batch_size

    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        return attributions[:, 0]


@dataclass(frozen=True)
class LayerAttribution(Attribution):
    """An attribution to the output of a layer, upsampled bilinearly to the image.

    ``layer`` names the module; the model's own ``cam_layer`` by default. ``channels`` makes one
    number of a place's channels: ``sum`` (signed), ``mean_abs`` or ``max_abs`` (not negative).
    """

    channels: Channels = "sum"
    layer: str | None = None

    def check(self, model: Classifier) -> None:
        model.check_feature_maps(layer_name(self, model, self.layer))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": layer_name(self, model, self.layer)}

    @abstractmethod
    def at_layer(self, model: Classifier, batch: Batch) -> Tensor:
        """Return captum's attributions, laid out as the layer's output."""

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        return model.feature_maps(self.at_layer(model, batch))

    def maps(self, attributions: Attributions, batch: Batch) -> Maps:
        return upsampled(one_channel(attributions, self.channels), batch)

    def module(self, model: Classifier) -> nn.Module:
        return model.module(layer_name(self, model, self.layer))


def one_channel(attributions: Attributions, channels: Channels) -> Float[Tensor, "batch h w"]:
    """Return one number a place; see ``Channels``."""
    if channels == "sum":
        return attributions.sum(1)
    return attributions.abs().mean(1) if channels == "mean_abs" else attributions.abs().amax(1)


def upsampled(maps: Float[Tensor, "batch h w"], batch: Batch) -> Maps:
    return F.interpolate(maps[:, None], batch.images.shape[2:], mode="bilinear")[:, 0]


def score_function(model: Classifier, space: Space) -> Callable[[Pixels, Targets], PerImage]:
    """Return what captum calls: images and their targets in, the targets' scores out."""
    return lambda images, targets: model.score(images, targets, space)


def inputs(batch: Batch) -> Pixels:
    """Return the images as tensors of their own that want gradients, as captum asks."""
    return batch.images.detach().clone().requires_grad_()


def layer_name(explainer: Explainer, model: Classifier, layer: str | None) -> str:
    name = layer or model.cam_layer
    if name is None:
        raise UserError(
            f"{explainer.name}: the model names no layer to read; set the parameter `layer`"
        )
    return name


def layer_shape(model: Classifier, name: str, images: Pixels) -> tuple[int, ...]:
    """Return the shape of a layer's output, () where it is no tensor; not counted as a pass."""
    shapes, before = [()], model.passes.copy()
    with torch.no_grad(), model.as_found():
        model.module(name).register_forward_hook(
            lambda _, __, output: shapes.append(tuple(getattr(output, "shape", ())))
        )
        model.eval()
        model(images)
    model.passes.forward = before.forward
    return shapes[-1]


def check_layer(explainer: Explainer, model: Classifier, layer: str | None) -> None:
    """Raise UserError where captum itself must read maps, and the layer gives tokens or others."""
    name = layer_name(explainer, model, layer)
    maps = model.check_feature_maps(name)
    shape = layer_shape(model, name, model.example())
    if shape[1:] != maps:
        raise UserError(
            f"{explainer.name}: layer {name!r} gives {shape}, and must give maps (batch, channels, "
            "height, width); set `layer` to a convolutional layer"
        )


def background(batch: Batch, count: int, kind: Background) -> Float[Tensor, "batch n c h w"]:
    """Return baselines of each image, drawn from its seed alone."""
    images = batch.images
    grid = (1, 1) if kind == "colours" else images.shape[2:]
    shape = (len(batch), count, images.shape[1], *grid)
    drawn = random_uniform(batch.seeds, count * images[0, :, 0, 0].numel() * grid[0] * grid[1],
                           _BACKGROUND)  # fmt: skip
    return drawn.to(images.dtype).view(shape).expand(-1, -1, -1, *images.shape[2:])


def segments_of(batch: Batch) -> Int[Tensor, " batch"]:
    """Return each image's number of superpixels."""
    return batch.segments.flatten(1).amax(1) + 1


def segment_sums(values: Pixels, batch: Batch) -> Maps:
    """Return at each pixel the sum of the values in its superpixel, over all channels."""
    labels = batch.segments.flatten(1)
    sums = torch.zeros_like(values[:, 0].flatten(1))
    return (
        sums.scatter_add(1, labels, values.sum(1).flatten(1))
        .gather(1, labels)
        .view_as(batch.segments)
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep captum's notices that it sets hooks to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_DEEP_LIFT = frozenset(
    {nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool2d}
    | {nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d}
    | {nn.Identity, nn.Dropout, nn.Flatten}
)


def check_deep_lift(explainer: Explainer, model: Classifier) -> None:
    """Raise UserError where captum would silently take a plain gradient for DeepLift's rule."""
    check_rules(explainer.name, model, _DEEP_LIFT, LINEAR)


class RowWise(DeepLift):
    """captum's DeepLift, but for max-pooling: where image and baseline agree, it has the gradient
    of the first image of a call stand for every image's; here each has its own."""

    def _backward_hook(self, module: nn.Module, grad_input: Tensor, grad_output: Tensor) -> Tensor:
        if not isinstance(module, nn.MaxPool2d):
            return super()._backward_hook(module, grad_input, grad_output)
        image, reference = module.input.chunk(2)
        agree = torch.cat(2 * [(image - reference).abs() < self.eps])
        multipliers = super()._backward_hook(module, grad_input, grad_output)
        own = torch.cat(2 * [grad_input.chunk(2)[0]])
        return torch.where(agree, own, multipliers)


def check_relu(explainer: Explainer, model: Classifier) -> None:
    """Raise UserError where there is no ReLU whose gradient could be another."""
    try:
        modules = traced_network(model).modules()
    except UserError as error:
        raise UserError(f"{explainer.name}: {error}") from error
    if not any(isinstance(module, nn.ReLU) for module in modules):
        raise UserError(f"{explainer.name} changes the gradient of ReLU, and this network has none")


_PROPAGATED = frozenset({*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS})


def check_lrp(explainer: Explainer, model: Classifier) -> None:
    """Raise UserError where captum's LRP has no rule for a part of the network."""
    check_rules(explainer.name, model, _PROPAGATED, RESHAPING, addition=Addition_Module)


@contextmanager
def propagating(
    model: Classifier, epsilon: float, mark: str | None = None
) -> Iterator[TargetScore]:
    """Give a score of normalised images whose every layer has the epsilon rule."""
    with hookable(model, mark, addition=Addition_Module, normalised=True) as score:
        for module in score.modules():
            if type(module) in SUPPORTED_LAYERS_WITH_RULES or isinstance(module, Mark):
                module.rule = EpsilonRule(epsilon)
        yield score


def normalised_inputs(model: Classifier, batch: Batch) -> tuple[Tensor, None, tuple[Tensor]]:
    """Return images, captum's ``target`` and the targets: of a single logit the logit itself."""
    images = ((batch.images - model.mean) / model.std).detach().requires_grad_()
    targets = torch.ones_like(batch.targets) if model.head == "single_logit" else batch.targets
    return images, None, (targets,)


def sign_of_logit(model: Classifier, batch: Batch) -> Float[Tensor, "batch 1 1 1"]:
    """Return -1 for class 0 of a single logit: captum's LRP gives -z the relevance of z."""
    negative = (batch.targets == 0) & (model.head == "single_logit")
    return torch.where(negative, -1.0, 1.0).to(batch.images.dtype)[:, None, None, None]
