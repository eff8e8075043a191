"""Batches of at most the model's size, halved when memory runs out, the work going on."""

from __future__ import annotations

from collections.abc import Callable

import torch

from xaibench.models.base import Classifier


def in_batches(model: Classifier, count: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` on slices of 0..count, each at most ``model.batch_size`` long.

    A slice that runs out of memory is done again in halves, and ``model.batch_size`` stays halved;
    one item that does not fit is an error.
    """
    done = 0
    while done < count:
        part = slice(done, min(done + model.batch_size, count))
        try:
            work(part)
        except torch.OutOfMemoryError:
            if model.batch_size == 1:
                raise
            model.batch_size //= 2
            torch.cuda.empty_cache()
            continue
        done = part.stop
