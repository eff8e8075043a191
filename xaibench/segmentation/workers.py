"""Processes that compute beside the one that waits for them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait

from threadpoolctl import threadpool_limits

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of processes of one thread each, started when work comes.

    They end with the process that made them, however that ends, and leave Ctrl-C to it.
    """
    # Spawned, for a fork would copy the caller's threads and its GPU's state.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_prepare)


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The variables for libraries that are loaded later, the limits for those that are there.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A pool's worker waits for work on a pipe that it holds the other end of itself: without
    # this, it would wait for ever when its parent was killed.
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def spare_cores() -> int:
    """Return the number of cores that this process may use, less the one it uses itself."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) - 1
    return (os.cpu_count() or 1) - 1
