"""A network of one's own, made by a callable of one's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import nn

from xaibench.errors import UserError
from xaibench.models.base import Classifier, Model, head_for
from xaibench.networks.discovery import discovered
from xaibench.networks.factories import built, load_factory, sources_of
from xaibench.networks.files_of_weights import check_weights, files_of
from xaibench.networks.foreign import Adapted, Intake, Outputs, head_of, logits_of
from xaibench.networks.parts import replace_head
from xaibench.networks.tokens import TokenGrid
from xaibench.networks.weight_files import Loaded, load_weights
from xaibench.registry import register
from xaibench.types import Task

_WORDS = ("factory",)
_OTHER = "say `head: replace` for a fresh linear head, or use a network trained for these classes"


@register("model")
@dataclass(frozen=True)
class Module(Model):
    """What a callable returns: any ``nn.Module`` that gives one tensor (batch, outputs) of images.

    ``factory``: ``package.module:name``, or ``my_net.py:name`` of a file beside the config or in
    the working directory; a function or a class, called with ``options`` as keywords. ``weights``:
    ``factory`` (as it returns them) or the path of a checkpoint, and ``weights_key``: under which
    of its keys they lie, such as ``ema``. ``input_range``: what black and
    white are for it, such as [0, 255] or [-1, 1]; ``mean`` and ``std``: that it was trained with,
    in that range, one number or one a channel; leave them out where it normalises by itself.
    ``size``: height and width of its images, and ``channels``, theirs; 3 on grey images repeats the
    one. ``head``: ``keep`` takes the outputs as they are, which must be one a class (or a single
    logit for two), ``replace`` puts a fresh linear layer in the place of the last one.
    ``outputs``: ``logits``, or ``probabilities`` where the last layer is a softmax or sigmoid.
    ``cam_layer``: what Grad-CAM reads; found by a pass of an image where it is left out.
    """

    beside: ClassVar[tuple[str, ...]] = ("factory",)
    checked_with: ClassVar[dict[str, object]] = {
        "factory": "torchvision.models:shufflenet_v2_x0_5",
        "head": "replace",
        "channels": 3,
    }

    factory: str
    weights: str = "factory"
    weights_key: str | None = None
    options: dict[str, bool | int | float | str | tuple[int, ...] | None] = field(
        default_factory=dict
    )
    input_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    size: tuple[PositiveInt, PositiveInt] | None = None
    channels: PositiveInt | None = None
    head: Literal["keep", "replace"] = "keep"
    single_logit: bool = False
    outputs: Outputs = "logits"
    cam_layer: str | None = None

    @property
    def architecture(self) -> str:
        """What tables call it: the callable, without where it lies."""
        return self.factory.rpartition(":")[2]

    @property
    def _intake(self) -> Intake:
        return Intake(self.input_range, self.mean, self.std, self.size, self.channels)

    def validate(self) -> None:
        load_factory(self.factory)
        check_weights(self.weights, self.weights_key, _WORDS)
        if self.single_logit and self.head == "keep":
            raise UserError("single_logit: is of a head that is replaced; say head: replace")
        if self.outputs == "probabilities" and self.head == "replace":
            raise UserError("outputs: a head that is replaced gives logits; leave `outputs` out")
        self._intake.validate()

    def sources(self) -> tuple[Path, ...]:
        weights = () if self.weights in _WORDS else files_of(Path(self.weights))
        return (*sources_of(self.factory), *weights)

    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        intake = self._intake
        intake.check_size(size)
        repeats = intake.repeats(channels)
        shape = (intake.channels if repeats else channels, *size)
        mean, std = intake.normalisation(shape[0])
        net = built(self.factory, self.options)
        image = torch.linspace(0, 1, shape[0] * size[0] * size[1]).view(1, *shape)
        head = None
        if self.head == "keep":
            head = head_of(net, image, task, classes, self.outputs, otherwise=_OTHER)
        known = self._places(net, shape)
        if head is None:
            head = head_for(task, self.single_logit)
            self._replace(net, known, 1 if head == "single_logit" else len(classes))
        loaded = self._load(net, known)
        if repeats or self.outputs == "probabilities":
            logits = logits_of(head) if self.outputs == "probabilities" else None
            net = Adapted(net, (mean, std) if repeats else None, logits)
            known = {name: _inside(value) for name, value in known.items()}
        return Classifier(
            net,
            head=head,
            classes=classes,
            # Where a grey image is repeated, its copies are normalised, each by its own numbers.
            mean=(0.0,) if repeats else mean,
            std=(1.0,) if repeats else std,
            input_shape=(channels, *size),
            weights=loaded.said,
            origin=loaded.origin(mean, std, size),
            **known,
        )

    def _places(self, net: nn.Module, shape: tuple[int, int, int]) -> dict[str, object]:
        try:
            known = discovered(net, shape)
        except ValueError as error:
            channels, height, width = shape
            raise UserError(
                f"factory: the network does not take images of {channels}x{height}x{width} "
                f"({error}); if it was made for others, say its `channels` and `size`"
            ) from error
        return known | ({} if self.cam_layer is None else {"cam_layer": self.cam_layer})

    def _replace(self, net: nn.Module, known: dict[str, object], outputs: int) -> None:
        name = known["linear_head"]
        if name is None:
            raise UserError(
                "head: replace: the outputs do not come of a linear layer; say head: keep, and "
                "have the factory build the head"
            )
        old = net.get_submodule(name)
        replace_head(net, name, nn.Linear(old.in_features, outputs, bias=old.bias is not None))

    def _load(self, net: nn.Module, known: dict[str, object]) -> Loaded:
        replaced = self.head == "replace"
        if self.weights in _WORDS:
            fresh = ("the head is fresh",) * replaced
            return Loaded(f"as {Path(self.factory).name} gives them", fresh=fresh)
        heads = (known["head_module"],) * replaced
        return load_weights(net, Path(self.weights), key=self.weights_key, heads=heads)


def _inside(value: object) -> object:
    """Return names of a network's modules as they are where it is the part ``net`` of another."""
    if isinstance(value, str):
        return f"net.{value}"
    if isinstance(value, tuple):
        return tuple(map(_inside, value))
    if isinstance(value, TokenGrid):
        return replace(value, drop_at=_inside(value.drop_at))
    return value
