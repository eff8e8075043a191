"""One CUDA graph for all of a pass: nothing waits for Python to start a kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xaibench.engine.backends.base import Backend, Pass
from xaibench.types import Precision


class CudaGraph(Backend):
    """Full batches replay what was captured once."""

    name = "cuda_graph"
    any_size = False

    def lacking(self, device: str, precision: Precision) -> str | None:
        return None if device == "cuda" else f"it needs a CUDA device, and the model is on {device}"

    def version(self) -> str:
        return f"torch {torch.__version__}, CUDA {torch.version.cuda}"

    def compiled(self, net: nn.Module) -> Pass:
        return _Graphed(net)


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
