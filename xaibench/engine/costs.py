"""What a piece of work costs: passes, seconds, and the peak of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from xaibench.models.base import Classifier, PassCount

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"  # proc(5): resets the peak resident size to the present one


@dataclass
class Peak:
    """What ``peak_memory`` found, once its block is left.

    Attributes:
        bytes: None where it cannot be told.
    """

    bytes: int | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Give the peak of memory inside the block.

    On a CUDA device: the most bytes that tensors held there at once, those of the model and of
    the batch among them, without what the driver and the allocator's cache hold besides. On the
    CPU of a Linux machine: the most bytes of the whole process that were resident at once, the
    interpreter and its libraries among them. Elsewhere, or where the system does not let the
    peak be reset: None, since the peak of the process's whole life says nothing of the block.

    Blocks do not nest: the inner one resets the outer one's peak.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
    elif device.type == "cpu" and _reset_resident():
        yield peak
        peak.bytes = _peak_resident()
    else:
        yield peak


def _reset_resident() -> bool:
    try:
        _CLEAR.write_text(_CLEAR_PEAK)
    except OSError:
        return False
    return True


def _peak_resident() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else None  # proc(5) tells it in kB of 1,024 bytes


@dataclass
class Cost:
    """What ``measured`` found, once its block is left.

    Attributes:
        peak_bytes: most memory in use at once; None where it cannot be told.
    """

    passes: PassCount = field(default_factory=PassCount)
    seconds: float = 0.0
    peak_bytes: int | None = None


@contextmanager
def measured(*models: Classifier | None) -> Iterator[Cost]:
    """Give the cost of the block; passes are those of all the models that are there."""
    cost, device = Cost(), models[0].device
    before, begun = passes_of(*models), time.perf_counter()
    with peak_memory(device) as peak:
        yield cost
        if device.type == "cuda":  # what is queued there is part of the time, too
            torch.cuda.synchronize(device)
    cost.passes = passes_of(*models).since(before)
    cost.seconds, cost.peak_bytes = time.perf_counter() - begun, peak.bytes


def passes_of(*models: Classifier | None) -> PassCount:
    """Return the passes of all the models that are there."""
    return sum((m.passes for m in models if m is not None), PassCount())
