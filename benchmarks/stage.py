"""What the sections of the GPU command work on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.records import Record
from benchmarks.sizes import QUICK, SIZES, Size, on_gpu
from xaibench.types import BackendName

if TYPE_CHECKING:  # imported when it is made: a missing package must not take every section
    from benchmarks.subjects import Subject


class Deadline:
    """The time that there is, in seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return self._end - time.monotonic()


@dataclass(frozen=True, eq=False)
class Stage:
    """A device with the time and the sizes for it.

    Attributes:
        tiny: tries the flow; figures mean nothing.
        scratch: a folder that is gone afterwards.
    """

    device: torch.device
    tiny: bool
    deadline: Deadline
    record: Record
    scratch: Path

    @property
    def size(self) -> Size:
        size = QUICK["quick_rgb"] if self.tiny else SIZES["resnet18_96"]
        return on_gpu(size) if self.device.type == "cuda" else size

    @property
    def backends(self) -> tuple[BackendName, ...]:
        """Those to be tried, the fastest last."""
        return ("eager", "cuda_graph") if self.device.type == "cuda" else ("eager",)

    @property
    def images(self) -> int:
        """Images of a block, for what is projected to a whole test set."""
        return 2 if self.tiny else 64

    @cached_property
    def subject(self) -> Subject:
        from benchmarks.subjects import subject

        images = max(self.size.most_images, self.images)
        return subject(self.size, images, self.device, self.backends[-1])

    def small(self, device: torch.device, backend: BackendName = "eager") -> Subject:
        """Return the size's model with two images, on a device."""
        from benchmarks.subjects import subject

        return subject(self.size, 2, device, backend)
