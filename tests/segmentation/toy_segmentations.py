"""Segmentations for tests of workers, which import no more than this: no torch, no pytest."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaibench.segmentation.base import Segmentation


def in_worker() -> bool:
    return multiprocessing.parent_process() is not None


@dataclass(frozen=True)
class Levels(Segmentation):
    """Levels of the first channel, moved by the seed; leaves a line in a file for each image."""

    log: str
    seeded: ClassVar[bool] = True

    @property
    def id(self):
        return type(self).__name__

    def segment(self, image, seed):
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        return ((image[0] + seed % 7 / 7) * 4).astype(np.int64)


class Deadly(Levels):
    """Ends every process that is a worker."""

    def segment(self, image, seed):
        if in_worker():
            os._exit(1)
        return super().segment(image, seed)


class Picky(Levels):
    """Takes no image that is dark in its corner."""

    def segment(self, image, seed):
        if image[0, 0, 0] == 0:
            raise ValueError("dark corner")
        return super().segment(image, seed)


class Slow(Levels):
    """Takes its time."""

    def segment(self, image, seed):
        labels = super().segment(image, seed)
        time.sleep(0.2 if in_worker() else 0)
        return labels
