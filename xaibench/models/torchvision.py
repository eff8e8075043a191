"""Any classifier of torchvision, by the name of its builder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torchvision
from torch import nn

from xaibench.errors import UserError, nearest
from xaibench.models.base import Classifier, Model, head_for
from xaibench.networks.discovery import discovered
from xaibench.networks.files_of_weights import check_weights, files_of
from xaibench.networks.made_for import MadeFor
from xaibench.networks.parts import replace_head
from xaibench.networks.tokens import TokenGrid
from xaibench.networks.weight_files import GreyStem, Loaded, load_weights
from xaibench.registry import register
from xaibench.types import Task

_WORDS = ("none",)
_OURS = {
    "num_classes": "the data set's number of classes",
    "image_size": "the size of the images",
    "weights": "what `weights` says",
}
# These two have heads beside the last one, which training alone looks at.
_ASIDE = {"inception_v3": ("AuxLogits",), "googlenet": ("aux1", "aux2")}


@register("model")
@dataclass(frozen=True)
class Torchvision(Model):
    """An architecture of torchvision; images in [0, 1], normalisation inside.

    ``weights``: ``none`` (drawn anew), or the path of a checkpoint; nothing is downloaded.
    ``weights_key``: under which of its keys they lie, such as ``ema``; those that fit best where it
    is left out. Head and stem are adapted to classes and channels: the head is left fresh where the
    file's differs in shape. ``grey_stem``: how a stem of three channels becomes one: ``sum``
    answers to a grey image as the three did to its three copies, ``mean`` a third as strongly.
    ``single_logit``: two classes on one logit. ``mean`` and ``std``: one a channel, in the unit of
    [0, 1]; those that torchvision's own weights were trained with where they are left out.
    ``cam_layer``: what Grad-CAM reads; the last feature map by default. ``options``: more of what
    the builder takes, such as ``{dropout: 0.5}``. ``vit_*`` is built for the images' size, which
    must be square and a multiple of its patches.
    """

    checked_with: ClassVar[dict[str, object]] = {"architecture": "shufflenet_v2_x0_5"}

    architecture: str = "resnet18"
    weights: str = "none"
    weights_key: str | None = None
    grey_stem: GreyStem = "sum"
    single_logit: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    cam_layer: str | None = None
    options: dict[str, bool | int | float | str | tuple[int, ...]] = field(default_factory=dict)

    def validate(self) -> None:
        names = torchvision.models.list_models(module=torchvision.models)
        if self.architecture not in names:
            near = nearest(self.architecture, names, 3)
            raise UserError(
                f"architecture: torchvision has no classifier {self.architecture!r}"
                f"{near or '; see torchvision.models.list_models()'}"
            )
        own = sorted(_OURS.keys() & self.options.keys())
        if own:
            raise UserError(f"options: {own[0]} is {_OURS[own[0]]}; leave it out")
        check_weights(self.weights, self.weights_key, _WORDS)
        if self.std is not None and min(self.std, default=0) <= 0:
            raise UserError("std: every number must be above 0")

    def sources(self) -> tuple[Path, ...]:
        return () if self.weights in _WORDS else files_of(Path(self.weights))

    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        head = head_for(task, self.single_logit)
        net, tokens = self._net(1 if head == "single_logit" else len(classes), size)
        stem = next(name for name, m in net.named_modules() if isinstance(m, nn.Conv2d))
        _adapt_stem(net, stem, channels)
        known = self._places(net, (channels, *size), tokens)
        record = _record(self.architecture, self.weights)
        mean = _of_channels("mean", self.mean or record.mean, channels)
        std = _of_channels("std", self.std or record.std, channels)
        loaded = self._load(net, stem, known["head_module"])
        if self.weights in _WORDS:  # weights that are drawn anew were made for no images
            record = None
        if self.cam_layer is not None:
            known["cam_layer"] = self.cam_layer
        return Classifier(
            net,
            head=head,
            classes=classes,
            mean=mean,
            std=std,
            input_shape=(channels, *size),
            weights=loaded.said,
            origin=loaded.origin(mean, std, size, record),
            **known,
        )

    def _net(self, outputs: int, size: tuple[int, int]) -> tuple[nn.Module, TokenGrid | None]:
        options: dict[str, object] = {"num_classes": outputs}
        if self.architecture in _ASIDE:
            options |= {"aux_logits": False, "init_weights": True}
        if self.architecture.startswith("vit_"):
            if size[0] != size[1]:
                raise UserError(
                    f"architecture: {self.architecture} takes square images, and these are "
                    f"{size[0]}x{size[1]}; crop or resize them, or use another architecture"
                )
            options["image_size"] = size[0]
        try:
            net = torchvision.models.get_model(
                self.architecture, weights=None, **(options | self.options)
            )
        except Exception as error:  # builders check in ways of their own, torch._assert among them
            asked = ", ".join(f"{k} = {v}" for k, v in (self.options | options).items())
            why = " ".join(str(error).split())
            raise UserError(f"architecture: {self.architecture} with {asked}: {why}") from error
        patch = getattr(net, "patch_size", None)
        if not self.architecture.startswith("vit_") or patch is None:
            return net, None
        grid = (size[0] // patch, size[1] // patch)
        return net, TokenGrid((grid,), prefix_tokens=1, head_tokens=1)

    def _places(
        self, net: nn.Module, shape: tuple[int, int, int], tokens: TokenGrid | None
    ) -> dict[str, object]:
        try:
            return discovered(net, shape, tokens)
        except ValueError as error:
            raise UserError(
                f"architecture: {self.architecture} does not take images of {shape[1]}x{shape[2]} "
                f"({error}); resize them, or use another architecture"
            ) from error

    def _load(self, net: nn.Module, stem: str, head: str | None) -> Loaded:
        if self.weights in _WORDS:
            return Loaded()
        return load_weights(
            net,
            Path(self.weights),
            key=self.weights_key,
            stems=(stem,),
            heads=(head,) if head else (),
            grey_stem=self.grey_stem,
            unused=_ASIDE.get(self.architecture, ()),
        )


def _adapt_stem(net: nn.Module, name: str, channels: int) -> None:
    """Put a fresh first convolution into a network whose images have other channels."""
    old = net.get_submodule(name)
    if old.in_channels == channels:
        return
    told = {k: getattr(old, k) for k in ("kernel_size", "stride", "padding", "dilation")}
    new = nn.Conv2d(channels, old.out_channels, **told, bias=old.bias is not None)
    replace_head(net, name, new)


def _record(architecture: str, weights: str) -> MadeFor:
    """Return what torchvision says of the images of its weights.

    Of a file of another name than theirs the size is not said: nobody knows it.
    """
    every = list(torchvision.models.get_model_weights(architecture))
    file = Path(weights).name
    named = [each for each in every if each.url.rpartition("/")[2] == file]
    chosen = (named or every)[-1]
    images = chosen.transforms()
    side = images.crop_size[0]
    return MadeFor(
        f"torchvision's record of {architecture}",
        tuple(images.mean),
        tuple(images.std),
        (side, side) if named else None,
    )


def _of_channels(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Return one number a channel; of three, their mean on grey images."""
    if len(values) in (1, channels):
        return values * channels if len(values) == 1 else values
    if len(values) == 3:
        return (sum(values) / 3,) * channels
    raise UserError(
        f"{name}: {len(values)} numbers, and the images have {channels}; give one a channel"
    )
