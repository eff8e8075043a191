"""PyTorch's own compiler."""

from __future__ import annotations

import shutil

import torch
from torch import nn

from xaibench.engine.backends.base import Backend, Pass
from xaibench.types import Precision


class Inductor(Backend):
    """``torch.compile``: operators fused into C++ or Triton, half a minute at the first pass."""

    name = "inductor"
    any_size = False
    quick = False

    def lacking(self, device: str, precision: Precision) -> str | None:
        if device == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
            return "there is no C++ compiler"
        return None

    def version(self) -> str:
        return f"torch {torch.__version__} (inductor)"

    def compiled(self, net: nn.Module) -> Pass:
        on_gpu = any(parameter.is_cuda for parameter in net.parameters())
        # Kernels chosen by trial, without graphs: those are another backend's.
        mode = "max-autotune-no-cudagraphs" if on_gpu else None
        return torch.compile(net, dynamic=False, mode=mode)
