"""The contract of a backend: the same network's outputs, made by other code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from xaibench.types import BackendName, Precision

Pass = Callable[[Tensor], Tensor]
"""Normalised images (batch, channel, height, width) in channels_last -> outputs of the network."""


class Backend(ABC):
    """Makes passes of a network without gradients."""

    name: ClassVar[BackendName]
    any_size: ClassVar[bool]
    """Whether batches of any size go through it; else only full ones, the others eagerly."""
    quick: ClassVar[bool] = True
    """Whether it is made in a second or two, so that it may be tried."""

    @abstractmethod
    def lacking(self, device: str, precision: Precision) -> str | None:
        """Return why it cannot be used, in a clause; None where it can.

        Args:
            device: its type, such as ``cpu``.
        """

    @abstractmethod
    def version(self) -> str:
        """Return what makes the passes, with its version, as a manifest has it."""

    @abstractmethod
    def compiled(self, net: nn.Module) -> Pass:
        """Return the network's passes; what is made for a shape is made when one is seen."""
