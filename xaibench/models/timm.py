"""Any architecture of timm, by name."""

from __future__ import annotations

import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import huggingface_hub
import timm
import torch
from pydantic import PositiveInt
from timm.layers import PatchEmbed
from torch import nn

from xaibench.errors import UserError, nearest
from xaibench.models.base import Classifier, Model, head_for
from xaibench.networks.files_of_weights import check_weights, files_of
from xaibench.networks.made_for import MadeFor
from xaibench.networks.parts import classifier_name, places, replace_head, tame_head
from xaibench.networks.weight_files import GreyStem, Loaded, load_weights
from xaibench.registry import register
from xaibench.types import Task

_HUB_SECONDS = 8.0
_WORDS = ("imagenet", "none")
_OURS = {
    "num_classes": "the data set's number of classes",
    "in_chans": "the data set's number of channels",
    "img_size": "the size of the images",
    "pretrained": "what `weights` says",
}


@register("model")
@dataclass(frozen=True)
class Timm(Model):
    """A timm architecture; images in [0, 1], normalisation inside.

    ``weights``: ``imagenet`` (from timm's hub), ``none``, or the path of a state dict (.pt, .pth)
    or .safetensors file. ``weights_key``: under which of the file's keys they lie, such as
    ``state_dict_ema``; those that fit best where it is left out. Head and stem are adapted to
    classes and channels: the head is left fresh where its shape differs. ``grey_stem``: how a stem
    of three channels becomes one: ``sum`` answers to a grey image as the three did to its three
    copies, ``mean`` a third as strongly.
    ``weights_fallback``: what happens where the hub cannot be reached. ``single_logit``: two
    classes on one logit instead of two. ``hidden``: width of a hidden layer: the head is then
    linear, ReLU, linear, and no class activation map can be made of it. ``options``: more of what
    timm's constructor of the architecture takes, such as ``{global_pool: avg, depth: 6}``.
    ``mean`` and ``std``: one a channel, in the unit of [0, 1]; timm's own where they are left out.
    Transformers of a fixed size are built for the images' size, which must be a multiple of their
    patches.
    """

    checked_with: ClassVar[dict[str, object]] = {"weights": "none"}

    architecture: str = "resnet18"
    weights: str = "imagenet"
    weights_key: str | None = None
    weights_fallback: Literal["none", "error"] = "error"
    grey_stem: GreyStem = "sum"
    single_logit: bool = False
    hidden: PositiveInt | None = None
    cam_layer: str | None = None
    options: dict[str, bool | int | float | str | tuple[int, ...]] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def sources(self) -> tuple[Path, ...]:
        return () if self.weights in _WORDS else files_of(Path(self.weights))

    def validate(self) -> None:
        if not timm.is_model(self.architecture):
            near = nearest(self.architecture, timm.list_models(), 3)
            raise UserError(
                f"architecture: timm has no model {self.architecture!r}"
                f"{near or '; see timm.list_models()'}"
            )
        own = sorted(_OURS.keys() & self.options.keys())
        if own:
            raise UserError(f"options: {own[0]} is {_OURS[own[0]]}; leave it out")
        if self.std is not None and min(self.std, default=0) <= 0:
            raise UserError("std: every number must be above 0")
        check_weights(self.weights, self.weights_key, _WORDS)

    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        head = head_for(task, self.single_logit)
        outputs = 1 if head == "single_logit" else len(classes)
        options = {"num_classes": outputs, "in_chans": channels} | self._fixed_size(size)
        net, loaded = self._with_weights(lambda pretrained: self._net(pretrained, options))
        config = net.pretrained_cfg
        per_channel = lambda values: (
            tuple(values) if channels == len(values) else (sum(values) / len(values),) * channels
        )
        mean = per_channel(self.mean or config["mean"])
        std = per_channel(self.std or config["std"])
        known = _places(net, self.architecture, (channels, *size))
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
            origin=loaded.origin(mean, std, size, self._made_for(loaded, config)),
            **known,
        )

    def _net(self, pretrained: bool, options: dict[str, object]) -> nn.Module:
        try:
            net = timm.create_model(self.architecture, pretrained, **self.options, **options)
        except (AssertionError, TypeError) as error:
            asked = ", ".join(f"{key} = {value}" for key, value in (self.options | options).items())
            raise UserError(f"architecture: {self.architecture} with {asked}: {error}") from error
        if pretrained and options["in_chans"] == 1 and self.grey_stem == "mean":
            with torch.no_grad():  # timm has summed them
                for stem in _named(net, "first_conv"):
                    net.get_submodule(stem).weight /= 3
        name = classifier_name(net)
        if not pretrained or options["num_classes"] != net.pretrained_cfg["num_classes"]:
            tame_head(net, name)
        if self.hidden is None:
            return net
        if name is None or not isinstance(net.get_submodule(name), nn.Linear):
            raise UserError(
                f"hidden: {self.architecture} has no linear head in whose place a hidden layer "
                "could go; leave it out, or use another architecture"
            )
        linear = net.get_submodule(name)
        layers = nn.Linear(linear.in_features, self.hidden), nn.ReLU()
        mlp = nn.Sequential(*layers, nn.Linear(self.hidden, linear.out_features))
        replace_head(net, name, mlp)
        return net

    def _fixed_size(self, size: tuple[int, int]) -> dict[str, object]:
        """Return timm's option for the size of a network that is built for one size."""
        config = timm.get_pretrained_cfg(self.architecture)
        fixed = config is not None and config.fixed_input_size
        return {"img_size": size} if fixed and tuple(config.input_size[1:]) != size else {}

    def _made_for(self, loaded: Loaded, config: dict[str, object]) -> MadeFor | None:
        """Return for which images timm's weights were made; of a file, mean and std for the
        architecture."""
        source = f"timm's record of {self.architecture}"
        mean, std = tuple(config["mean"]), tuple(config["std"])
        if self.weights not in _WORDS:
            return MadeFor(source, mean, std)
        own = loaded.said.startswith("imagenet")
        return MadeFor(source, mean, std, tuple(config["input_size"][1:])) if own else None

    def _with_weights(self, create) -> tuple[nn.Module, Loaded]:
        if self.weights == "none":
            return create(False), Loaded()
        if self.weights != "imagenet":
            net = create(False)
            return net, load_weights(
                net,
                Path(self.weights),
                key=self.weights_key,
                stems=_named(net, "first_conv"),
                heads=_named(net, "classifier"),
                grey_stem=self.grey_stem,
            )
        config = timm.get_pretrained_cfg(self.architecture)
        if config is None or not (config.hf_hub_id or config.url):
            raise UserError(f"weights: timm has no ImageNet weights for {self.architecture!r}")
        problem = None if _cached(config.hf_hub_id) else _hub_problem(config.hf_hub_id)
        if problem is None:
            try:
                return create(True), Loaded(f"imagenet ({config.architecture}.{config.tag})")
            except OSError as error:  # the hub answered, and then broke off
                problem = f"timm's hub did not give them ({type(error).__name__})"
        if self.weights_fallback == "none":
            return create(False), Loaded(f"none (imagenet was asked for, but {problem})")
        raise UserError(
            f"weights: imagenet: {problem}; set model.weights to a file or to 'none', or "
            "model.weights_fallback to 'none' to go on without"
        )


def _places(net: nn.Module, architecture: str, shape: tuple[int, int, int]) -> dict[str, object]:
    """Return ``parts.places``; a UserError where the network cannot take images of the shape."""
    height, width = shape[1:]
    embed = getattr(net, "patch_embed", None)
    if isinstance(embed, PatchEmbed) and not embed.dynamic_img_pad:
        patch = embed.patch_size
        fitting = [max(p, p * round(s / p)) for s, p in zip((height, width), patch, strict=True)]
        if fitting != [height, width]:
            raise UserError(
                f"architecture: {architecture} cuts images into patches of {patch[0]}x{patch[1]}, "
                f"and {height}x{width} is no multiple: the rest would not be looked at; resize "
                f"images, such as to {fitting[0]}x{fitting[1]}"
            )
    try:
        return places(net, shape)
    except ValueError as error:
        raise UserError(
            f"architecture: {architecture} does not take images of {height}x{width} ({error}); "
            "resize them, or use another architecture"
        ) from error


def _cached(hub_id: str | None) -> bool:
    files = ("model.safetensors", "pytorch_model.bin")
    return hub_id is not None and any(
        isinstance(huggingface_hub.try_to_load_from_cache(hub_id, file), str) for file in files
    )


def _hub_problem(hub_id: str | None) -> str | None:
    """Return why the hub does not give a model's files, or None; within ten seconds.

    In a thread, since looking a name up can hang where no socket timeout reaches.
    """
    hub = f"{huggingface_hub.constants.ENDPOINT}/{hub_id}/resolve/main/config.json"
    problem: list[str | None] = [f"timm's hub did not answer within {_HUB_SECONDS:.0f} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(hub, method="HEAD")
            urllib.request.urlopen(request, timeout=_HUB_SECONDS).close()
            problem[0] = None
        except OSError as error:
            problem[0] = f"timm's hub cannot be reached ({getattr(error, 'reason', error)})"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_HUB_SECONDS)
    return problem[0]


def _named(net: nn.Module, key: str) -> tuple[str, ...]:
    """Return the names of the modules that timm's record of a network has under a key."""
    value = net.pretrained_cfg.get(key)
    return (value,) if isinstance(value, str) else tuple(value or ())
