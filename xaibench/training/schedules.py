"""The learning rate as a function of the step and the log so far. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xaibench.training.options import TrainingOptions


def learning_rate(
    options: TrainingOptions, step: int, total_steps: int, monitored: Sequence[float] = ()
) -> float:
    """Return the rate of one step, in [0, ``options.learning_rate``].

    It climbs in a line over the first ``warmup_steps``, reaching the full rate at the last of
    them; then it stays (``constant``), falls along half a cosine that would be zero at
    ``total_steps``, or falls by a factor at each plateau (``plateau``, where a plateau during the
    warm-up counts too). Resuming needs no state but the log.

    Args:
        step: from 0 to ``total_steps - 1``.
        total_steps: of the whole training, as if nothing stopped it early.
        monitored: the monitored figure of each validation so far; only ``plateau`` reads it.
    """
    rate = options.learning_rate
    if options.schedule == "plateau":
        rate *= options.plateau_factor ** plateaus(options, monitored)
    if step < options.warmup_steps:
        return rate * (step + 1) / options.warmup_steps
    if options.schedule != "cosine":
        return rate
    done = (step - options.warmup_steps) / max(total_steps - options.warmup_steps, 1)
    return rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def plateaus(options: TrainingOptions, monitored: Sequence[float]) -> int:
    """Return how often the figure went ``plateau_patience + 1`` validations without gain.

    Counting starts anew at each gain (a tie is none) and at each plateau, as in torch's
    ``ReduceLROnPlateau`` with a threshold of 0.
    """
    sign = -1 if options.monitor == "loss" else 1
    best, waited, found = -math.inf, 0, 0
    for value in monitored:
        waited += 1
        if sign * value > best:
            best, waited = sign * value, 0
        elif waited > options.plateau_patience:
            found, waited = found + 1, 0
    return found
