"""Drawing in several processes, in order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from xaibench.errors import UserError

Item = TypeVar("Item")
Drawing = TypeVar("Drawing")

_QUEUE = 16  # items drawn ahead of the one that is taken


@contextmanager
def drawn_in_order(
    draw: Callable[[Item], Drawing], items: Iterable[Item], workers: int
) -> Iterator[Iterator[Drawing]]:
    """Yield an iterator over ``draw(item)`` in the order of ``items``; ``workers`` processes draw.

    With one worker everything is drawn in this process, when it is asked for. With more, ``draw``
    and the items must be picklable. What was begun is dropped when the block is left. Raises
    `UserError` for fewer than one worker.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}; it must be at least 1")
    if workers == 1:
        yield map(draw, items)
        return
    # Spawned, for a fork would copy a caller's threads and GPU state.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield _in_order(pool, draw, iter(items), max(_QUEUE, 2 * workers))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: Executor, draw: Callable[[Item], Drawing], items: Iterator[Item], ahead: int
) -> Iterator[Drawing]:
    # A short queue: pictures not yet written must not pile up in memory.
    waiting = deque(pool.submit(draw, item) for item in islice(items, ahead))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(draw, item) for item in islice(items, 1))
