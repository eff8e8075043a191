"""Any architecture of timm, by name."""

from __future__ import annotations

import hashlib
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import huggingface_hub
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from xaibench.errors import UserError, did_you_mean
from xaibench.models.base import Classifier, Model, head_for
from xaibench.registry import register
from xaibench.types import Task

_HUB_SECONDS = 8.0


@register("model")
@dataclass(frozen=True)
class Timm(Model):
    """A timm architecture; images in [0, 1], normalisation inside.

    ``weights``: ``imagenet`` (from timm's hub), ``none``, or the path of a state dict (.pt, .pth)
    or .safetensors file. Head and stem are adapted to classes and channels: the head is left
    fresh where its shape differs; a stem of three channels is summed into one, which answers to a
    grey image as the three did to its three copies (timm does the same).
    ``weights_fallback``: what happens where the hub cannot be reached. ``single_logit``: two
    classes on one logit instead of two.
    """

    architecture: str = "resnet18"
    weights: str = "imagenet"
    weights_fallback: Literal["none", "error"] = "error"
    single_logit: bool = False
    cam_layer: str | None = None

    def validate(self) -> None:
        if not timm.is_model(self.architecture):
            raise UserError(
                f"architecture: timm has no model {self.architecture!r}"
                f"{_nearest(self.architecture)}"
            )
        if self.weights not in ("imagenet", "none") and not Path(self.weights).is_file():
            raise UserError(
                f"weights: {self.weights!r} is neither 'imagenet' nor 'none' nor an existing file "
                f"(relative paths are taken from {Path.cwd()})"
            )

    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        head = head_for(task, self.single_logit)
        outputs = 1 if head == "single_logit" else len(classes)
        options = {"num_classes": outputs, "in_chans": channels} | self._fixed_size(size)
        net, used = self._with_weights(
            lambda pretrained: timm.create_model(
                self.architecture, pretrained=pretrained, **options
            )
        )
        config = net.pretrained_cfg
        per_channel = lambda values: (
            tuple(values) if channels == len(values) else (sum(values) / len(values),) * channels
        )
        info = getattr(net, "feature_info", None)
        return Classifier(
            net,
            head=head,
            classes=classes,
            mean=per_channel(config["mean"]),
            std=per_channel(config["std"]),
            cam_layer=self.cam_layer or (info[-1]["module"] if info and _has_maps(net) else None),
            linear_head=_linear_head(net),
            pool="global_pool"
            if isinstance(getattr(net, "global_pool", None), nn.Module)
            else None,
            input_shape=(channels, *size),
            weights=used,
        )

    def _fixed_size(self, size: tuple[int, int]) -> dict[str, object]:
        """Return timm's option for the size of a network that is built for one size."""
        config = timm.get_pretrained_cfg(self.architecture)
        fixed = config is not None and config.fixed_input_size
        return {"img_size": size} if fixed and tuple(config.input_size[1:]) != size else {}

    def _with_weights(self, create) -> tuple[nn.Module, str]:
        if self.weights == "none":
            return create(False), "none"
        if self.weights != "imagenet":
            net = create(False)
            path = Path(self.weights)
            _load(net, path)
            return net, f"{path.name} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()})"
        config = timm.get_pretrained_cfg(self.architecture)
        if config is None or not (config.hf_hub_id or config.url):
            raise UserError(f"weights: timm has no ImageNet weights for {self.architecture!r}")
        problem = None if _cached(config.hf_hub_id) else _hub_problem(config.hf_hub_id)
        if problem is None:
            try:
                return create(True), f"imagenet ({config.architecture}.{config.tag})"
            except OSError as error:  # the hub answered, and then broke off
                problem = f"timm's hub did not give them ({type(error).__name__})"
        if self.weights_fallback == "none":
            return create(False), f"none (imagenet was asked for, but {problem})"
        raise UserError(
            f"weights: imagenet: {problem}; set model.weights to a file or to 'none', or "
            "model.weights_fallback to 'none' to go on without"
        )


def _has_maps(net: nn.Module) -> bool:
    """Say whether the network's stages give maps (B, K, h, w), as convolutional ones do."""
    return getattr(net, "output_fmt", "NCHW") == "NCHW" and not hasattr(net, "patch_embed")


def _nearest(name: str) -> str:
    nearest = did_you_mean(name, timm.list_models())
    return nearest[nearest.rfind(" (did") :] if "(did" in nearest else "; see timm.list_models()"


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


def _linear_head(net: nn.Module) -> str | None:
    classifier = net.get_classifier() if hasattr(net, "get_classifier") else None
    names = [name for name, module in net.named_modules() if module is classifier]
    return names[0] if isinstance(classifier, nn.Linear) and names else None


def _load(net: nn.Module, path: Path) -> None:
    """Load a state dict, with head and stem adapted; everything else must fit."""
    state = _read(path)
    wanted = net.state_dict()
    as_tuple = lambda value: (value,) if isinstance(value, str) else tuple(value or ())
    heads = as_tuple(net.pretrained_cfg.get("classifier"))
    stems = [f"{name}.weight" for name in as_tuple(net.pretrained_cfg.get("first_conv"))]
    for key in stems:
        if key in state and state[key].shape[1] == 3 and wanted[key].shape[1] == 1:
            state[key] = state[key].sum(dim=1, keepdim=True)
    for key, value in wanted.items():
        fresh_head = key.rpartition(".")[0] in heads
        if fresh_head and (key not in state or state[key].shape != value.shape):
            state[key] = value
        elif key.endswith("num_batches_tracked"):  # older files do not hold this counter
            state.setdefault(key, value)
    problems = [f"lacks {k}" for k in wanted if k not in state]
    problems += [f"has {k}, which the network has not" for k in state if k not in wanted]
    problems += [
        f"{k} is {tuple(state[k].shape)}, must be {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in state and state[k].shape != v.shape
    ]
    if problems:
        raise UserError(
            f"weights: {path} does not fit the architecture ({len(problems)} differences): "
            + "; ".join(problems[:3])
        )
    net.load_state_dict(state)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format raises its own kind for a damaged file
        raise UserError(f"weights: {path} cannot be read: {type(error).__name__}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"weights: {path} holds no state dict (names with tensors)")
    return dict(state)
