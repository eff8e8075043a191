"""The contract of a model: what every explainer and metric may ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import ConfigDict
from torch import Tensor, nn

from xaibench.errors import UserError
from xaibench.networks.map_layers import reaching
from xaibench.networks.origin import Origin
from xaibench.networks.tokens import NoMapError, TokenGrid
from xaibench.types import BackendName, Gradients, Head, PassCount, Precision, Space, Task

# What a hook registration is kept in, on every module; taken from torch.nn.Module.
HOOK_TABLES = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)

_SET_LAYER = (
    "set `layer` to one whose output is a map (batch, channels, height, width), as convolutional "
    "layers give, or holds a token for each patch"
)


class Classifier(nn.Module):
    """Wraps any network: images in [0, 1] in, logits and target scores out.

    Args:
        net: maps normalised images (B, C, H, W) to logits (B, outputs).
        head: how the outputs are read. ``softmax``: one of n classes. ``single_logit``: two
            classes on one logit z, sigma(z) for class 1 and 1 - sigma(z) for class 0, never a
            softmax over one number. ``multilabel``: sigma of each output. ``regression``: the
            output itself.
        classes: the names of the classes (two for ``single_logit``), labels or outputs.
        mean, std: the network's normalisation, one a channel, in the unit of [0, 1] images.
        cam_layer: name of the module whose output Grad-CAM reads as maps, or None where no module
            gives maps; see ``feature_maps``.
        linear_head: name of the last ``nn.Linear``, or None.
        pool: name of the module that pools the last feature map for the head, or None.
        input_shape: channels, height and width of the images it was built for.
        stages: the names of modules (or of single parameters) from input to output, grouped into
            stages; the head is in none. Training can freeze the first of them.
        tokens: how a layer's output becomes maps (B, K, h, w) where it is a sequence of tokens or
            has its channels last; None for a network that gives such maps as they are.
        head_module: name of the module that makes the outputs of the pooled features;
            ``linear_head`` where that is the whole head.
        weights: where the weights came from, for the manifest.
        origin: what was noticed when it was built, which a run says.
        batch_size: images in one pass of the masking engine.
        precision: of the masking engine's passes; gradients are always taken in fp32.
        gradients: what the engine's gradients are taken through.
        backend: what the engine's passes run through, ``speedup`` times as fast as eager PyTorch.
    """

    scores_only: ClassVar[bool] = False
    """Whether scores are all that it gives: no gradients, and no layers to look at."""

    def __init__(
        self,
        net: nn.Module,
        *,
        head: Head,
        classes: tuple[str, ...],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        cam_layer: str | None,
        linear_head: str | None,
        pool: str | None,
        input_shape: tuple[int, int, int],
        stages: tuple[tuple[str, ...], ...] = (),
        tokens: TokenGrid | None = None,
        head_module: str | None = None,
        weights: str = "none",
        origin: Origin | None = None,
        batch_size: int = 64,
        precision: Precision = "fp32",
        backend: BackendName = "eager",
        gradients: Gradients = "exact",
    ) -> None:
        super().__init__()
        self.net = net
        self.head: Head = head
        self.classes = classes
        self.cam_layer, self.linear_head, self.pool = cam_layer, linear_head, pool
        self.input_shape, self.stages = input_shape, stages
        self.tokens = tokens or TokenGrid()
        self.head_module = head_module or linear_head
        self.weights, self.origin = weights, origin or Origin()
        self.batch_size = batch_size
        self.precision: Precision = precision
        self.backend: BackendName = backend
        self.gradients: Gradients = gradients
        self.speedup = 1.0
        self.passes = PassCount()
        # Not persistent: they belong to the architecture, and a checkpoint holds only weights.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch output"]:
        """Return the logits; counts the passes, the backward ones when they happen."""
        logits = self.net((images - self.mean) / self.std)
        count = len(images)
        self.passes.forward += count
        if logits.requires_grad:
            logits.register_hook(lambda _: self._count_backward(count))
        return logits

    def _count_backward(self, count: int) -> None:
        self.passes.backward += count

    def logits(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch output"]:
        """Return the network's outputs before any softmax or sigmoid."""
        return self(images)

    def score(
        self,
        images: Float[Tensor, "batch channel height width"],
        targets: Int[Tensor, " batch"],
        space: Space = "prob",
    ) -> Float[Tensor, " batch"]:
        """Return the score of each image's target.

        Args:
            targets: class, label or output explained, one an image.
            space: ``prob`` in [0, 1] (unbounded for regression), or ``logit``: the class's own
                logit; z for class 1 and -z for class 0 of a single logit.
        """
        return self.read(self(images), targets, space)

    def read(
        self, logits: Float[Tensor, "batch output"], targets: Int[Tensor, " batch"], space: Space
    ) -> Float[Tensor, " batch"]:
        """Return the targets' scores from logits; see ``score``."""
        if self.head == "single_logit":
            z = logits[:, 0]
            signed = torch.where(targets == 1, z, -z)
            return signed if space == "logit" else signed.sigmoid()
        chosen = logits.gather(1, targets[:, None])[:, 0]
        if space == "logit" or self.head == "regression":
            return chosen
        if self.head == "multilabel":
            return chosen.sigmoid()
        return logits.softmax(1).gather(1, targets[:, None])[:, 0]

    def probabilities(self, logits: Float[Tensor, "batch output"]) -> Float[Tensor, "batch class"]:
        """Return one column a class: probabilities, or the outputs themselves for regression."""
        if self.head == "single_logit":
            p = logits[:, 0].sigmoid()
            return torch.stack([1 - p, p], dim=1)
        if self.head == "softmax":
            return logits.softmax(1)
        return logits.sigmoid() if self.head == "multilabel" else logits

    def example(self) -> Float[Tensor, "1 channel height width"]:
        """Return one image of the right shape, a ramp, for looking at what layers give."""
        channels, height, width = self.input_shape
        ramp = torch.linspace(0, 1, channels * height * width, device=self.device)
        return ramp.view(1, channels, height, width)

    def module(self, name: str) -> nn.Module:
        """Return the network's module of that name; a UserError names the nearest ones."""
        modules = dict(self.net.named_modules())
        if name not in modules:
            shown = ", ".join(n for n in modules if n and n.count(".") < 2)
            raise UserError(f"the network has no module {name!r}; it has: {shown}")
        return modules[name]

    def feature_maps(self, output: object) -> Float[Tensor, "batch channel h w"]:
        """Return what a layer gave as maps (B, K, h, w), whatever its layout; see ``TokenGrid``.

        Class, distillation and register tokens are left out, and patch tokens put into their grid:
        a view of the output, through which gradients pass. A UserError says why it is no map.
        """
        try:
            return self.tokens.maps(output)
        except NoMapError as error:
            raise UserError(f"the layer {error}; {_SET_LAYER}") from None

    def check_feature_maps(self, layer: str) -> tuple[int, int, int]:
        """Return channels, rows and columns of the maps that a layer gives for one image.

        A UserError where it gives none, or where, behind it, only the class token reaches the
        head: gradients at its patches are all zero then. Counts no pass.
        """
        seen: list[object] = []
        self.module(layer)
        before = self.passes.copy()
        with torch.no_grad(), self.as_found():
            self.module(layer).register_forward_hook(lambda _, __, output: seen.append(output))
            self.eval()
            self(self.example())
        self.passes = before  # a check costs the run nothing
        if not seen:
            raise UserError(f"layer {layer!r} gives nothing; {_SET_LAYER}")
        try:
            maps = self.tokens.maps(seen[-1])
        except NoMapError as error:
            raise UserError(f"layer {layer!r} {error}; {_SET_LAYER}") from None
        if len(maps) != 1:
            raise UserError(
                f"layer {layer!r} gives {tuple(seen[-1].shape)} for one image, cut into windows; "
                f"{_SET_LAYER}"
            )
        if self.tokens.prefix_tokens and not self._reaches(layer):
            raise UserError(
                f"behind layer {layer!r} only the class token reaches the head, so that gradients "
                f"at its patches are all zero; {_SET_LAYER}"
            )
        return tuple(maps.shape[1:])

    def _reaches(self, layer: str) -> bool:
        with self.as_found():
            self.eval()
            image = (self.example() - self.mean) / self.std
            return reaching(self.net, [layer], self.head_module, self.tokens, image)[layer]

    @contextmanager
    def as_found(self) -> Iterator[Classifier]:
        """Give the model back as it was: modes, ``requires_grad``, hooks; even on an exception."""
        modules = list(self.modules())
        modes = [(module, module.training) for module in modules]
        # Few modules have hooks, and every cell comes here: no table is copied for nothing.
        tables = [table for m in modules for name in HOOK_TABLES if (table := getattr(m, name))]
        hooks = [(table, dict(table)) for table in tables]
        wanted = [(p, p.requires_grad, p.grad) for p in self.parameters()]
        try:
            yield self
        finally:
            for module, module.training in modes:
                for name in HOOK_TABLES:
                    getattr(module, name).clear()
            for table, kept in hooks:
                table.update(kept)
            for parameter, wants, gradient in wanted:
                parameter.requires_grad_(wants).grad = gradient


def head_for(task: Task, single_logit: bool) -> Head:
    """Return how a network's outputs are read for a data set's task."""
    if task == "binary":
        return "single_logit" if single_logit else "softmax"
    return {"multiclass": "softmax", "multilabel": "multilabel", "regression": "regression"}[task]


class Model(ABC):
    """A plugin that builds a network; its fields are the parameters that a config may set."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    kind: ClassVar[str] = "model"
    name: ClassVar[str]
    expected: ClassVar[Mapping[str, str]] = {}
    """Check -> why it fails, and may, for ``xaibench check``; the check must fail then."""
    checked_with: ClassVar[Mapping[str, object]] = {}
    """Parameters of ``xaibench check`` in place of the defaults, such as no weights to download."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Parameters that name a file (or ``FILE:NAME``) that is looked for beside the config first."""

    def sources(self) -> tuple[Path, ...]:
        """Return the files, beside its own code, that decide what it builds: for the run's id."""
        return ()

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    @abstractmethod
    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        """Return the network for a data set's task, classes, channels and (height, width)."""
