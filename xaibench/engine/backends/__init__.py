"""What the engine's forward passes run through: eager PyTorch, or a compiler of the same network.

``base`` is the contract, a file each holds a backend, and ``choosing`` takes the fastest of those
that give the same scores.
"""

from __future__ import annotations

from collections.abc import Mapping

from xaibench.engine.backends.base import Backend
from xaibench.engine.backends.cuda_graph import CudaGraph
from xaibench.engine.backends.eager import Eager
from xaibench.engine.backends.inductor import Inductor
from xaibench.engine.backends.openvino import OpenVino

BACKENDS: Mapping[str, Backend] = {
    backend.name: backend for backend in (Eager(), Inductor(), OpenVino(), CudaGraph())
}
"""By name, eager first: it is what the others are held to."""

__all__ = ["BACKENDS", "Backend"]
