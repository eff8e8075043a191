"""When a training validates and when it ends, in steps. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xaibench.errors import UserError
from xaibench.training.options import TrainingOptions


@dataclass(frozen=True)
class Plan:
    """The steps of a training, as if nothing stopped it early.

    Attributes:
        steps: of one epoch.
        total: of the training; its last step is validated, whatever ``every`` says.
        every: steps between validations.
    """

    steps: int
    total: int
    every: int

    @classmethod
    def of(cls, options: TrainingOptions, images: int) -> Plan:
        """Return the plan for a number of training images, copies included."""
        steps = _steps(images, options.batch_size)
        total = steps * options.epochs
        if options.max_steps is not None:
            total = min(total, options.max_steps)
        return cls(steps, total, options.validate_every or steps)

    def epoch(self, step: int) -> int:
        """Return the epoch, from 0, of a step counted from 0."""
        return step // self.steps

    def next_validation(self, step: int) -> int:
        """Return how many steps are taken when the first validation after ``step`` is due."""
        return min((step // self.every + 1) * self.every, self.total)


def _steps(images: int, batch_size: int) -> int:
    """Return the batches of an epoch, without a last one of one image: BatchNorm refuses it."""
    if images == 1:
        raise UserError("training: the split 'train' has one image; at least two are needed")
    steps = math.ceil(images / batch_size)
    return steps - 1 if batch_size > 1 and images % batch_size == 1 else steps
