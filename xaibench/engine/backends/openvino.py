"""OpenVINO, an inference compiler for CPUs: whole networks in float32, several times as fast.

Its package is installed with ours on x86 Linux. It is told nothing and sends nothing: its
telemetry is a package of its own, which is kept from being imported.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from xaibench.engine.backends.base import Backend, Pass
from xaibench.types import Precision

_TELEMETRY = "openvino_telemetry"


class OpenVino(Backend):
    """Passes of any batch size; an image's outputs are the same whatever it is batched with."""

    name = "openvino"
    any_size = True

    def lacking(self, device: str, precision: Precision) -> str | None:
        if device != "cpu":
            return f"it runs on CPUs, and the model is on {device}"
        if precision != "fp32":
            return f"it computes in float32, and precision is {precision}"
        if importlib.util.find_spec("openvino") is None:
            return "it is not installed; pip install openvino"
        return None

    def version(self) -> str:
        return f"openvino {version('openvino')}"

    def compiled(self, net: nn.Module) -> Pass:
        return _Compiled(net)


class _Compiled:
    """A network, compiled when the first batch says of what shape its images are."""

    def __init__(self, net: nn.Module) -> None:
        self._net = _ChannelsLast(net)
        self._shape: torch.Size | None = None

    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[1:] != self._shape:
            self._compile(images)
        # The images as they lie in memory: nothing is copied on the way in.
        rows = images.permute(0, 2, 3, 1).contiguous().numpy()
        self._request.infer([_openvino().Tensor(rows, shared_memory=True)])
        return torch.from_numpy(self._request.get_output_tensor(0).data.copy())

    def _compile(self, images: Tensor) -> None:
        library = _openvino()
        example = images[:2].permute(0, 2, 3, 1).contiguous()
        with warnings.catch_warnings():
            # Of tracing, which is deprecated, and of shapes that stay as the example has them.
            warnings.simplefilter("ignore")
            model = library.convert_model(self._net, example_input=example)
        model.reshape([-1, *example.shape[1:]])
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = _core().compile_model(model, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._shape = images.shape[1:]


class _ChannelsLast(nn.Module):
    """A network that takes (batch, height, width, channel)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, rows: Tensor) -> Tensor:
        return self.net(rows.permute(0, 3, 1, 2))


@cache
def _core() -> Any:
    """Return the library's core, one for the process and as long as it lives.

    A core gives its thread a stack for signals. The first to go takes away that which the second
    is left with, and then any signal, Ctrl-C too, ends the process as a segmentation fault.
    """
    return _openvino().Core()


@cache
def _openvino() -> ModuleType:
    # None makes its import fail, upon which OpenVINO's converter goes on without it.
    sys.modules.setdefault(_TELEMETRY, None)
    import openvino

    return openvino
