"""A network in an archive with its code: TorchScript, or torch.export."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from xaibench.errors import UserError
from xaibench.models.base import Classifier, Model
from xaibench.networks.foreign import Adapted, Intake, Outputs, head_of, logits_of
from xaibench.networks.unreadable import EXPORT, TORCHSCRIPT, mend, what_it_is
from xaibench.registry import register
from xaibench.types import Task

_INSIDE = "an exported network gives scores alone, {}; use `module`, `timm` or `torchvision` for it"

_OTHER = "export a network that was trained for these classes"


@register("model")
@dataclass(frozen=True)
class Exported(Model):
    """An archive of ``torch.jit.save`` (.pt) or ``torch.export.save`` (.pt2), for its scores alone.

    It has no gradients and no layers: explainers that need them say so, and it cannot be trained
    (``training: {epochs: 0}``). **Loading an archive runs the code in it**: name only one that you
    trust. No other plugin loads one. ``input_range``: what black and white are for it, such as
    [0, 255]; ``mean`` and ``std``: that it was trained with, in that range, one number or one a
    channel; leave them out where the archive normalises by itself. ``size``: height and width of
    its images, and ``channels``, theirs; 3 on grey images repeats the one. ``outputs``: ``logits``,
    or ``probabilities`` where its last layer is a softmax or sigmoid. An archive of torch.export
    must take any number of images (``dynamic_shapes``).
    """

    beside: ClassVar[tuple[str, ...]] = ("file",)

    file: Path
    input_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    size: tuple[PositiveInt, PositiveInt] | None = None
    channels: PositiveInt | None = None
    outputs: Outputs = "logits"

    @property
    def architecture(self) -> str:
        """What tables call it: the file's stem."""
        return self.file.stem

    @property
    def _intake(self) -> Intake:
        return Intake(self.input_range, self.mean, self.std, self.size, self.channels)

    def validate(self) -> None:
        if not self.file.is_file():
            raise UserError(f"file: {self.file} is no file; name an archive with its network")
        what = what_it_is(self.file)
        if what not in (TORCHSCRIPT, EXPORT):
            raise UserError(
                f"file: {self.file} is {what}, not an archive of torch.jit.save or "
                f"torch.export.save{mend(what, self.file) or '; weights alone go into `weights`'}"
            )
        self._intake.validate()

    def sources(self) -> tuple[Path, ...]:
        return (self.file,)

    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        self.validate()
        intake = self._intake
        intake.check_size(size)
        grey = intake.normalisation(intake.channels) if intake.repeats(channels) else None
        archive = _loaded(self.file)
        image = torch.linspace(0, 1, channels * size[0] * size[1]).view(1, channels, *size)
        net: nn.Module = Adapted(archive, grey, None)
        head = head_of(net, image, task, classes, self.outputs, otherwise=_OTHER)
        if self.outputs == "probabilities":
            net = Adapted(archive, grey, logits_of(head))
        _check_batches(net, image)
        plain = ((0.0,) * channels, (1.0,) * channels)
        mean, std = plain if grey else intake.normalisation(channels)
        checksum = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return _ScoresOnly(
            net.eval().requires_grad_(False),
            head=head,
            classes=classes,
            mean=mean,
            std=std,
            cam_layer=None,
            linear_head=None,
            pool=None,
            input_shape=(channels, *size),
            weights=f"{self.file.name} (sha256 {checksum})",
        )


class _ScoresOnly(Classifier):
    """A classifier whose gradients and layers nobody may ask for."""

    scores_only = True

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch output"]:
        if images.requires_grad and torch.is_grad_enabled():
            raise UserError(_INSIDE.format("and has no gradients"))
        with torch.no_grad():
            return super().forward(images)

    def module(self, name: str) -> nn.Module:
        raise UserError(_INSIDE.format(f"and has no layer {name!r} to look at"))


class _Archive(nn.Module):
    """What was loaded, in evaluation mode throughout: an archive may have no other."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch output"]:
        outputs = self.network(images.contiguous())
        # TorchScript keeps the method of its first call, where a patched one would be looked for.
        if isinstance(self.network, torch.jit.ScriptModule):
            vars(self.network).pop("forward", None)
        single = isinstance(outputs, tuple | list) and len(outputs) == 1
        return outputs[0] if single else outputs

    def train(self, mode: bool = True) -> _Archive:
        self.training = mode
        return self


def _loaded(file: Path) -> _Archive:
    """Load an archive, which runs its code; a UserError where torch cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated is not news here
            if what_it_is(file) == TORCHSCRIPT:
                network = torch.jit.load(str(file), map_location="cpu").eval()
            else:
                network = torch.export.load(str(file)).module()
    except Exception as error:  # of another version of torch, or damaged
        why = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"file: {file} cannot be loaded by torch {torch.__version__} "
            f"({type(error).__name__}: {why[:160]}); export it anew with this version"
        ) from error
    return _Archive(network)


def _check_batches(net: nn.Module, image: Float[Tensor, "1 channel height width"]) -> None:
    """Raise UserError where an archive takes one image at a time alone."""
    try:
        with torch.no_grad():
            given = net.eval()(image.expand(3, -1, -1, -1))
        works = len(given) == 3
    except Exception:  # whatever the archive's own checks raise
        works = False
    if not works:
        raise UserError(
            "file: the archive takes one image alone; export it for any number of them, such as "
            "with dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"
        )
