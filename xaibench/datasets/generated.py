"""Folders of generated data: drawn by several processes, there whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from xaibench.errors import UserError

Item = TypeVar("Item")
Drawing = TypeVar("Drawing")

_QUEUE = 16  # items drawn ahead of the one that is taken


@contextmanager
def generated_folder(root: Path, recipe: Mapping[str, object]) -> Iterator[Path | None]:
    """Yield a hidden folder to fill; it takes the name of ``root`` if nothing was raised.

    ``recipe`` says what the files follow from; it must be plain JSON and is written beside them as
    ``recipe.json``. Yields None where ``root`` already holds a set of the same recipe: there is
    nothing to do. Raises `UserError` where ``root`` holds anything else, and touches nothing there.
    """
    if root.exists():
        _check_same(root, recipe)
        yield None
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    partial_root = root.with_name(f".{root.name}.partial-{os.getpid()}")
    shutil.rmtree(partial_root, ignore_errors=True)  # left by a process killed outright
    partial_root.mkdir()
    try:
        yield partial_root
        (partial_root / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
        _take_name(partial_root, root, recipe)
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)


def _take_name(partial_root: Path, root: Path, recipe: Mapping[str, object]) -> None:
    try:
        os.replace(partial_root, root)
    except OSError:
        if not root.exists():
            raise
        _check_same(root, recipe)  # another process was quicker: the same recipe, the same files


def _check_same(root: Path, recipe: Mapping[str, object]) -> None:
    mend = "choose another folder or delete this one"
    try:
        found = json.loads((root / "recipe.json").read_text())
    except (OSError, ValueError):
        raise UserError(
            f"{root} exists but holds no generated set (no readable recipe.json); {mend}"
        ) from None
    if found != json.loads(json.dumps(recipe)):
        raise UserError(
            f"{root} holds a set of another recipe: {json.dumps(found)}, "
            f"asked for {json.dumps(recipe)}; {mend}"
        )


@contextmanager
def drawn_in_order(
    draw: Callable[[Item], Drawing], items: Iterable[Item], workers: int
) -> Iterator[Iterator[Drawing]]:
    """Yield an iterator over ``draw(item)`` in the order of ``items``; ``workers`` processes draw.

    With one worker everything is drawn in this process, when it is asked for. With more, ``draw``
    must be a function of a module and the items picklable. What was begun is dropped when the
    block is left. Raises `UserError` for fewer than one worker.
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
