"""The learning rate as a function of the step. Imports no torch."""

from __future__ import annotations

import math

from xaibench.training.options import TrainingOptions


def learning_rate(options: TrainingOptions, step: int, total_steps: int) -> float:
    """Return the rate of one step, in [0, ``options.learning_rate``].

    It climbs in a line over the first ``warmup_steps``, reaching the full rate at the last of
    them; then it stays (``constant``) or falls along half a cosine that would be zero at
    ``total_steps``. A function of the step alone, so that resuming needs no state.

    Args:
        step: from 0 to ``total_steps - 1``.
        total_steps: of all epochs, as if nothing stopped the training early.
    """
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / options.warmup_steps
    if options.schedule == "constant":
        return options.learning_rate
    done = (step - options.warmup_steps) / max(total_steps - options.warmup_steps, 1)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
