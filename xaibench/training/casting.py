"""In which numbers a training step computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from xaibench.training.options import TrainingOptions


@dataclass(frozen=True, eq=False)
class Casting:
    """Automatic casting to half precision, and the scale of the loss that float16 needs.

    Attributes:
        half: what is cast to; None for fp32 throughout.
        scaler: does nothing unless ``half`` is float16.
    """

    device: torch.device
    half: torch.dtype | None
    scaler: torch.amp.GradScaler

    @classmethod
    def of(cls, device: torch.device, options: TrainingOptions) -> Casting:
        half = None
        if device.type == "cuda" and options.precision == "auto":
            # Older GPUs only emulate bfloat16.
            ampere = torch.cuda.get_device_capability(device) >= (8, 0)
            half = torch.bfloat16 if ampere else torch.float16
        scaler = torch.amp.GradScaler("cuda", enabled=half == torch.float16)
        return cls(device, half, scaler)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.half, enabled=self.half is not None)

    def step(self, loss: Float[Tensor, ""], optimizer: torch.optim.Optimizer) -> None:
        """Take the step of an optimiser whose gradients are those of the loss alone."""
        optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()
