"""Work on many files at once, several at a time; those that are bad are judged together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from xaibench.errors import UserError
from xaibench.imaging.image_files import BadImage
from xaibench.progress import Progress

Result = TypeVar("Result")

_HANDED_OVER = 16  # files to a thread at a time
_NAMED = 3  # bad files that an error names
_SAID = 10  # and that a line of progress names


def of_each(
    files: Sequence[Path], work: Callable[[Path], Result], *, progress: Progress, title: str
) -> list[Result]:
    """Return ``work(file)`` of each file, in order; several threads work at a time."""
    results: list[Result] = []
    workers = max(os.cpu_count() or 1, 2)
    # A hand-over costs more than a file's header; few enough that no thread is idle at the end.
    size = min(max(len(files) // (8 * workers), 1), _HANDED_OVER)
    parts = [files[at : at + size] for at in range(0, len(files), size)]
    pool = ThreadPoolExecutor(workers)
    try:
        with progress.stage(title, len(files)) as advance:
            for part in pool.map(lambda part: [work(file) for file in part], parts):
                results += part
                advance(len(part))
    finally:
        pool.shutdown(cancel_futures=True)  # an interruption must not wait for the rest
    return results


def read_all(
    files: Sequence[Path],
    read: Callable[[Path], Result],
    *,
    allowed_bad: float,
    progress: Progress,
    title: str,
) -> list[Result | BadImage]:
    """Return ``read(file)`` of each file, in order, or the `BadImage` that it raised.

    Several threads read at a time.

    Raises:
        UserError: more than the share ``allowed_bad`` is bad.
    """

    def attempt(file: Path) -> Result | BadImage:
        try:
            return read(file)
        except BadImage as bad:
            return bad

    results = of_each(files, attempt, progress=progress, title=title)
    refuse_bad([r for r in results if isinstance(r, BadImage)], len(files), allowed_bad)
    return results


def check_bad(bad: Sequence[BadImage], total: int, allowed_bad: float, progress: Progress) -> None:
    """Raise UserError where more than the share ``allowed_bad`` of files is bad, else say which."""
    refuse_bad(bad, total, allowed_bad)
    if bad:
        progress.say(f"{len(bad)} of {total} image files are bad: {_listed(bad, _SAID)}; left out")


def refuse_bad(bad: Sequence[BadImage], total: int, allowed_bad: float) -> None:
    """Raise UserError where more than the share ``allowed_bad`` of files is bad."""
    if len(bad) > allowed_bad * total:
        raise UserError(
            f"{len(bad)} of {total} image files are bad: {_listed(bad, _NAMED)}; mend or remove "
            f"them, or raise allowed_bad (now {allowed_bad:g}) to leave them out"
        )


def _listed(bad: Sequence[BadImage], most: int) -> str:
    more = f" and {len(bad) - most} more" if len(bad) > most else ""
    return "; ".join(map(str, bad[:most])) + more
