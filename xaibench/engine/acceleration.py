"""What full batches of one shape can run through, beside the network itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from xaibench.errors import UserError
from xaibench.types import Acceleration


def accelerated(net: nn.Module, acceleration: Acceleration) -> Callable[[Tensor], Tensor]:
    """Return what gives the network's outputs, faster for batches of one shape.

    Raises:
        UserError: where a CUDA graph is asked for on another device.
    """
    if acceleration == "compile":
        return torch.compile(net, dynamic=False)
    if acceleration == "cuda_graph":
        device = next(net.parameters()).device
        if device.type != "cuda":
            raise UserError(
                f"acceleration: a CUDA graph needs a CUDA device, and the model is on {device.type}"
                "; use none or compile"
            )
        return _Graphed(net)
    return net


class _Graphed:
    """The network as one CUDA graph, captured for the shape that it sees and replayed.

    The output is overwritten by the next call: it has to be read before, on the same stream.
    """

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._shape: torch.Size | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        if inputs.shape != self._shape:
            self._capture(inputs)
        self._inputs.copy_(inputs)
        self._graph.replay()
        return self._outputs

    def _capture(self, inputs: Tensor) -> None:
        self._graph = None  # its memory is free for the next
        self._inputs, self._shape = inputs.clone(), inputs.shape
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # workspaces and algorithms are chosen before the capture
                self._net(self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        # Another thread makes the next block and pins memory: no business of the capture.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = self._net(self._inputs)
