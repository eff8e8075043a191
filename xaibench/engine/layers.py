"""A layer's maps, gradients at them, and scores with one of its channels set to zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xaibench.engine.batch import Batch, PerImage
from xaibench.engine.batches import in_batches
from xaibench.engine.gradient_model import gradient_model
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.types import Space

FeatureMaps = Float[Tensor, "batch channel h w"]
"""What a layer gives of each image, as ``Classifier.feature_maps`` reads it."""


def read_layer(model: Classifier, layer: str | None, asks: str) -> str:
    """Return the layer that a parameter names, or else the model's own.

    Raises:
        UserError: neither names one; it begins with who ``asks``.
    """
    name = layer or model.cam_layer
    if name is None:
        raise UserError(f"{asks}: the model names no layer to read; set {asks}'s `layer`")
    return name


def layer_maps(
    model: Classifier, batch: Batch, layer: str, space: Space = "logit"
) -> tuple[FeatureMaps, PerImage]:
    """Return the maps that a layer gives of each image, and the targets' scores.

    In fp32, whatever the model's precision; the maps as ``Classifier.feature_maps`` reads them.
    Cost: one forward pass.
    """
    maps: list[Tensor] = []
    scores: list[Tensor] = []

    def read(part: slice) -> None:
        # A copy: an operation in place behind the layer would overwrite its output.
        seen: list[Tensor] = []
        keep = lambda output: seen.append(model.feature_maps(output).clone())
        with torch.no_grad(), _hooked(model, layer, keep):
            scores.append(model.score(batch.images[part], batch.targets[part], space))
        maps.append(seen[-1])

    in_batches(model, len(batch), read)
    return torch.cat(maps), torch.cat(scores)


def layer_gradients(
    model: Classifier,
    batch: Batch,
    layer: str,
    objective: Callable[[Float[Tensor, "batch output"]], PerImage] | None = None,
) -> tuple[FeatureMaps, FeatureMaps]:
    """Return the maps that a layer gives of each image, and the gradient at them.

    All in one pass, in fp32; the maps as ``Classifier.feature_maps`` reads them.

    Args:
        objective: what is differentiated, of the logits; the targets' logits by default.

    Cost: one forward and one backward pass.
    """
    output, logits = layer_logits(model, batch, layer)
    read = objective or (lambda logits: model.read(logits, batch.targets, "logit"))
    with torch.enable_grad():
        return maps_and_gradients(model, output, read(logits))


def layer_logits(
    model: Classifier, batch: Batch, layer: str
) -> tuple[Tensor, Float[Tensor, "batch output"]]:
    """Return what a layer gives at its first use, and the logits, with a graph between the two.

    What stands before the layer is passed without a graph, if no weight wants a gradient. The
    network goes on with a copy, so that an operation in place behind the layer overwrites nothing.
    Cost: one forward pass.
    """
    model = gradient_model(model, layer)
    seen: list[Tensor] = []

    def begin(output: Tensor) -> Tensor:
        if seen:
            return output
        seen.append(output.detach().requires_grad_())
        return seen[0].clone()

    with torch.enable_grad(), _hooked(model, layer, begin):
        logits = model(batch.images.detach())
    return seen[0], logits


def maps_and_gradients(
    model: Classifier, output: Tensor, objective: PerImage
) -> tuple[FeatureMaps, FeatureMaps]:
    """Return a layer's output and the gradient there as maps; the graph is gone afterwards.

    Cost: one backward pass.
    """
    with torch.enable_grad():
        gradient = torch.autograd.grad(objective.sum(), output)[0]
    return model.feature_maps(output.detach()), model.feature_maps(gradient)


@contextmanager
def outputs_kept(modules: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """Keep what each module gives at its first use, by its number among ``modules``.

    The network goes on with copies, so that an operation in place behind a module (a ReLU, an
    addition) overwrites nothing.
    """
    kept: dict[int, Tensor] = {}

    def keep(number: int) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def hook(_: nn.Module, __: object, output: Tensor) -> Tensor:
            kept.setdefault(number, output)
            return output.clone()

        return hook

    hooks = [module.register_forward_hook(keep(i)) for i, module in enumerate(modules)]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def ablated_scores(
    model: Classifier, batch: Batch, layer: str, channels: int, space: Space
) -> Float[Tensor, "batch channel"]:
    """Return each target's score with each channel of a layer's maps set to zero.

    Pairs of image and channel are packed into full batches. What stands before the layer is
    computed once for the images of a batch, where the network lets it (see ``_front_apart``).
    In fp32, whatever the model's precision.
    Cost: one forward pass a channel; each takes the time of what stands behind the layer.
    """
    apart = _front_apart(model, layer, channels)
    image = torch.arange(len(batch), device=model.device).repeat_interleave(channels)
    channel = torch.arange(channels, device=model.device).repeat(len(batch))
    scores = batch.images.new_empty(len(image))

    def score(part: slice) -> None:
        first, last = part.start // channels, (part.stop - 1) // channels
        some, rows = batch.images[first : last + 1], image[part] - first
        logits = _ablated_logits(model, layer, some, rows, channel[part], apart=apart)
        scores[part] = model.read(logits, batch.targets[image[part]], space)

    in_batches(model, len(image), score)
    return scores.view(len(batch), channels)


def _ablated_logits(
    model: Classifier,
    layer: str,
    images: Float[Tensor, "image colour height width"],
    rows: Int[Tensor, " row"],
    channels: Int[Tensor, " row"],
    *,
    apart: bool,
) -> Float[Tensor, "row output"]:
    """Return the logits of the images number ``rows``, each with one channel set to zero.

    Args:
        apart: pass each image once up to the layer, and its rows from there on.
    """

    def ablated(output: Tensor) -> Tensor:
        output = output[rows] if apart else output.clone()
        # The maps are a view of the output, so that this reaches it in the layout that it has.
        model.feature_maps(output)[torch.arange(len(rows), device=rows.device), channels] = 0
        return output

    with torch.no_grad(), _hooked(model, layer, ablated):
        if not apart:
            return model(images[rows])
        logits = model.net((images - model.mean) / model.std)
    model.passes.forward += len(rows)
    return logits


def _front_apart(model: Classifier, layer: str, channels: int) -> bool:
    """Say whether a layer may be given more rows than the network was given images.

    Not where the network keeps the number of images from before the layer, adds what came before
    it to more than one of them, or has a forward of its own; tried on two images, three rows.
    """
    if type(model).forward is not Classifier.forward:
        return False
    images = torch.cat([model.example(), model.example().flip(-1)])
    rows = torch.tensor([0, 1, 1], device=model.device)
    channel = torch.tensor([0, 0, channels - 1], device=model.device)
    before = model.passes.copy()
    logits = lambda apart: _ablated_logits(model, layer, images, rows, channel, apart=apart)
    try:
        once = logits(True)
    except (RuntimeError, ValueError, IndexError):
        return False
    else:
        whole = logits(False)
        return once.shape == whole.shape and torch.allclose(once, whole, rtol=1e-4, atol=1e-4)
    finally:
        model.passes.forward = before.forward  # finding out costs the run nothing


@contextmanager
def _hooked(model: Classifier, layer: str, act: Callable[[Tensor], object]) -> Iterator[None]:
    hook = model.module(layer).register_forward_hook(lambda _, __, output: act(output))
    try:
        yield
    finally:
        hook.remove()
