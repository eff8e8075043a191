"""Wall times, of one piece of work and of several in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the wall seconds of some work, all that it queued on the device included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def alternate(
    entrants: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    after_round: Callable[[int], None] = lambda done: None,
) -> dict[str, list[float]]:
    """Return the seconds of each entrant in each round; each round begins with another one."""
    names = list(entrants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(repeats):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(timed(entrants[name], device))
        after_round(number + 1)
    return seconds
