"""PyTorch as it is, an operator after the other."""

from __future__ import annotations

import torch
from torch import nn

from xaibench.engine.backends.base import Backend, Pass
from xaibench.types import Precision


class Eager(Backend):
    """The network itself."""

    name = "eager"
    any_size = True

    def lacking(self, device: str, precision: Precision) -> str | None:
        return None

    def version(self) -> str:
        return f"torch {torch.__version__}"

    def compiled(self, net: nn.Module) -> Pass:
        return net
