"""Does memory grow with the number of calls?"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import torch

from xaibench.checks.check import Note

CALLS = 100
_PARTS = 4  # in which growth must show
_LEAST = 3  # calls of each part
_BUDGET = 1.0  # seconds of each part: an explainer of a thousand passes must not take minutes
_PYTHON_BYTES = 2048  # a call, in what Python and NumPy hold
_RESIDENT_BYTES = 256 * 1024  # a call, of the whole process: what else nobody sees
_STATM = Path("/proc/self/statm")


def flat(call: Callable[[int], object]) -> str | None:
    """Call up to 100 times, as often as the time allows; say what is kept of each call.

    Args:
        call: takes its number; must bring what is new to each (images), and keep nothing.
    """
    # Under tracing Python is slower by far: only the second half is traced, in parts.
    numbers = iter(range(CALLS))
    _calls(call, islice(numbers, CALLS // 2))
    tracemalloc.start()
    try:
        call(next(numbers))  # what it holds is known now, and what the next one adds is a growth
        held, calls = [_held()], []
        for part in (*(islice(numbers, CALLS // 8) for _ in range(_PARTS - 1)), numbers):
            calls.append(_calls(call, part))
            held.append(_held())
    finally:
        tracemalloc.stop()
    count = CALLS - len(list(numbers))
    # What is kept of each call grows in every part; what a library makes once, in one or two.
    tensors, python, resident = (
        min(
            (after - before) / of for (before, after), of in zip(pairwise(each), calls, strict=True)
        )
        for each in zip(*held, strict=True)
    )
    calls = sum(calls)
    if tensors >= 0.5:
        return f"{tensors:.1f} tensors more are alive after each of {calls} calls; keep none"
    if python > _PYTHON_BYTES:
        return f"{python / 1024:.1f} KiB more are held after each of {calls} calls; keep nothing"
    if resident > _RESIDENT_BYTES:
        return f"the process grows by {resident / 2**20:.1f} MiB with each of {calls} calls"
    return Note(
        f"{count} calls" + f", as many as {(_PARTS + 1) * _BUDGET:g} s allow" * (count < CALLS)
    )


def _calls(call: Callable[[int], object], numbers: Iterator[int]) -> int:
    """Call with numbers, until the time is over; return how often."""
    begun, done = time.perf_counter(), 0
    for number in numbers:
        call(number)
        done += 1
        if done >= _LEAST and time.perf_counter() - begun > _BUDGET:
            break
    return done


def _held() -> tuple[int, int, int]:
    gc.collect()
    tensors = sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())
    pages = int(_STATM.read_text().split()[1]) if _STATM.exists() else 0
    return tensors, tracemalloc.get_traced_memory()[0], pages * 4096
