"""What a network from elsewhere takes and gives, and what makes it take a data set's images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xaibench.errors import UserError
from xaibench.types import Head, Task

Outputs = Literal["logits", "probabilities"]
_TINY = 1e-7  # a probability of float32 is no nearer to 0 or 1 where a logit is made of it


@dataclass(frozen=True)
class Intake:
    """The images that a network was made for.

    Attributes:
        input_range: what black and white are for it: (0, 1), (0, 255), (-1, 1).
        mean, std: that it was trained with, in that range; one number, or one a channel.
        size: height and width; None where it takes any.
        channels: None for the data set's. 3 on grey images: the one channel is repeated.
    """

    input_range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None
    channels: int | None

    def validate(self) -> None:
        """Raise UserError for what types cannot say."""
        low, high = self.input_range
        if low >= high:
            raise UserError(f"input_range: {low:g} must be below {high:g}")
        if min(self.std) <= 0:
            raise UserError("std: every number must be above 0; leave it out for none")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels or len(values)):
                raise UserError(
                    f"{name}: {len(values)} numbers for channels: {self.channels}; give one a "
                    "channel, or one for all"
                )

    def repeats(self, channels: int) -> bool:
        """Say whether grey images are repeated; a UserError where channels do not fit."""
        if self.channels in (None, channels):
            return False
        if channels != 1:
            raise UserError(
                f"channels: the network takes {self.channels}, and the data set's images have "
                f"{channels}; use a network of {channels} channels"
            )
        return True

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise UserError where a data set's images have another (height, width)."""
        if self.size not in (None, tuple(size)):
            wanted = "x".join(map(str, self.size))
            raise UserError(
                f"size: the network takes images of {wanted}, and the data set's are "
                f"{size[0]}x{size[1]}; resize them (`dataset.resize`, or the data set's `size`), "
                "or leave `size` out if it takes others"
            )

    def normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std, one a channel, in the unit of images in [0, 1]."""
        low, high = self.input_range
        told = []
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise UserError(
                    f"{name}: {len(values)} numbers, and the images have {channels} channel"
                    f"{'s' * (channels > 1)}; give as many, or one for all"
                )
            told.append(values * channels if len(values) == 1 else values)
        mean, std = told
        width = high - low
        return tuple((m - low) / width for m in mean), tuple(s / width for s in std)


class Adapted(nn.Module):
    """A network of which others see images of the data set's channels, and logits.

    Args:
        grey: mean and std of its three channels, to which a grey image is repeated; None where it
            takes images as they come.
        logits_of: makes logits of what it gives; None where it gives logits.
    """

    def __init__(
        self,
        net: nn.Module,
        grey: tuple[tuple[float, ...], tuple[float, ...]] | None,
        logits_of: Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__()
        self.net, self._logits_of, self._grey = net, logits_of, grey is not None
        for name, values in zip(("mean", "std"), grey or ((0.0,), (1.0,)), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch output"]:
        if self._grey:
            images = (images.expand(-1, self.mean.shape[1], -1, -1) - self.mean) / self.std
        outputs = self.net(images)
        return self._logits_of(outputs) if self._logits_of else outputs


def logits_of(head: Head) -> Callable[[Tensor], Tensor]:
    """Return what turns a head's probabilities into logits that give them again."""
    return _log if head == "softmax" else _logit


def _log(probabilities: Float[Tensor, "batch output"]) -> Float[Tensor, "batch output"]:
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def _logit(probabilities: Float[Tensor, "batch output"]) -> Float[Tensor, "batch output"]:
    return probabilities.logit(eps=_TINY)


def head_of(
    net: nn.Module,
    image: Float[Tensor, "1 channel height width"],
    task: Task,
    classes: tuple[str, ...],
    outputs: Outputs,
    *,
    otherwise: str,
) -> Head:
    """Return how a network's outputs are read, by what it gives of an image.

    Args:
        otherwise: what to do where their number is not the task's.

    Raises:
        UserError: it does not take the image, gives no tensor (batch, outputs), another number of
            outputs than the task has, or probabilities where logits were told.
    """
    given = _given(net, image)
    if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != 1:
        what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise UserError(
            f"the network gives {what} for one image; it must give one tensor (batch, outputs): "
            "wrap it in a module that does"
        )
    count = given.shape[1]
    if count == 1 and task == "binary":
        head: Head = "single_logit"
    elif count == len(classes):
        head = {"binary": "softmax", "multiclass": "softmax"}.get(task, task)
    else:
        raise UserError(
            f"the network gives {count} output{'s' * (count > 1)}, and the data set ({task}) has "
            f"{len(classes)} classes; {otherwise}"
        )
    if outputs == "logits" and head == "softmax" and _adds_to_one(given):
        raise UserError(
            "outputs: the network gives probabilities, which add up to 1; say "
            "`outputs: probabilities`, or leave its last softmax out"
        )
    if outputs == "probabilities" and (head == "regression" or not _in_unit(given)):
        raise UserError(
            f"outputs: the network gives {given.flatten().tolist()[:3]}, no probabilities; "
            "leave `outputs` out"
        )
    return head


def _given(net: nn.Module, image: Float[Tensor, "1 channel height width"]) -> object:
    modes = [(module, module.training) for module in net.modules()]
    channels, height, width = image.shape[1:]
    try:
        with torch.no_grad():
            return net.eval()(image)
    except Exception as error:  # a foreign forward may raise anything
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the network does not take images of {channels}x{height}x{width} ({why}); if it was "
            "made for others, say its `channels` and `size`"
        ) from error
    finally:
        for module, training in modes:
            module.training = training


def _in_unit(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _adds_to_one(outputs: Tensor) -> bool:
    return _in_unit(outputs) and abs(float(outputs.sum()) - 1) < 1e-5
