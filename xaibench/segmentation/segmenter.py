"""Label maps of a batch's images: computed once an image, beside the GPU, and kept on disk."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from xaibench.segmentation.base import Segmentation
from xaibench.segmentation.label_maps import LabelMap
from xaibench.segmentation.workers import spare_cores, worker_pool

_MOST_WORKERS = 16


class Segmenter:
    """Gives the label maps of images, the same ones whichever way they were come by.

    Args:
        cache: a folder for label maps, found again by image and segmentation; None for none.
        workers: processes that compute, started when first needed; 0 computes in this one. When
            they die, this process goes on alone.

    A context manager, which ends the workers. Threads may share it.
    """

    def __init__(self, cache: Path | None = None, workers: int = 0) -> None:
        self._cache = cache
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._under_way: dict[str, Future] = {}
        self._lock = threading.Lock()
        # Apart from the other lock: whoever computes here must not keep others from the workers.
        self._computing = threading.Lock()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and drop what they have not begun; later calls compute here."""
        with self._lock:
            pool, self._pool, self._workers = self._pool, None, 0
            self._under_way.clear()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def begin(
        self,
        images: Float[Tensor, "batch channel height width"],
        seeds: Int[Tensor, " batch"],
        segmentation: Segmentation,
    ) -> None:
        """Have the workers start on what ``labels`` will be asked for; without any, do nothing.

        What was begun is kept until ``labels`` takes it.
        """
        if self._workers:
            self._send(self._maps(images, seeds, segmentation))

    def labels(
        self,
        images: Float[Tensor, "batch channel height width"],
        seeds: Int[Tensor, " batch"],
        segmentation: Segmentation,
    ) -> Int[Tensor, "batch height width"]:
        """Return the label map of each image, labels 0..K-1, on the images' device.

        Raises what ``segmentation`` raises.
        """
        maps = self._maps(images, seeds, segmentation)
        self._send(maps)
        labels = np.empty((len(images), *images.shape[2:]), np.int64)
        for row, each in zip(labels, maps, strict=True):
            row[:] = self._result(each)
        return torch.from_numpy(labels).to(images.device)

    def _maps(self, images: Tensor, seeds: Tensor, segmentation: Segmentation) -> list[LabelMap]:
        # Contiguous, for keys are of bytes: they must not depend on how an image lies in memory.
        pixels = images.detach().float().cpu().contiguous().numpy()
        return [
            LabelMap(segmentation, image, seed, self._cache)
            for image, seed in zip(pixels, seeds.tolist(), strict=True)
        ]

    def _send(self, maps: list[LabelMap]) -> None:
        """Give the workers what is neither done nor under way."""
        for each in maps:
            known = each.file is not None and each.file.exists()
            with self._lock:
                known = known or each.key in self._under_way
                if known or not self._workers or not _importable(each.segmentation):
                    continue
                self._pool = self._pool or worker_pool(self._workers)
                try:
                    self._under_way[each.key] = self._pool.submit(each.compute)
                except BrokenProcessPool:
                    self._go_on_alone()

    def _result(self, wanted: LabelMap) -> Integer[np.ndarray, "height width"]:
        with self._lock:
            under_way = self._under_way.get(wanted.key)
        if under_way is not None:
            try:
                return under_way.result()
            except CancelledError:  # closed meanwhile
                pass
            except BrokenProcessPool:
                with self._lock:
                    self._go_on_alone()
            finally:
                with self._lock:
                    self._under_way.pop(wanted.key, None)
        # One thread at a time, so that two never write the same file.
        with self._computing:
            kept = wanted.read()
            return wanted.compute() if kept is None else kept

    def _go_on_alone(self) -> None:
        if self._workers:
            self._workers = 0
            warnings.warn(
                "the processes that compute segments died; out of memory, or a script without "
                "`if __name__ == '__main__':`? Segments are computed in the main process from now "
                "on: slower, with the same result",
                RuntimeWarning,
                stacklevel=2,
            )


def _importable(segmentation: Segmentation) -> bool:
    """Say whether a worker finds the class: not where a config named a file as a plugin."""
    package = type(segmentation).__module__.partition(".")[0]
    return package == "__main__" or importlib.util.find_spec(package) is not None


def workers_beside(device: torch.device) -> int:
    """Return how many processes may compute while the device does: on a CPU, it has all cores."""
    return min(_MOST_WORKERS, spare_cores()) if device.type == "cuda" else 0
