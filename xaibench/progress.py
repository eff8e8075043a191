"""One progress display for a whole run: what is under way, and the time left."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBar

Advance = Callable[[int], None]


class Progress(ABC):
    """Where long work says how far it is."""

    @abstractmethod
    def stage(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Open a stage of ``total`` units, ``done`` of them finished; yields ``advance(units)``."""

    @abstractmethod
    def say(self, line: str) -> None:
        """Print one line without disturbing the display."""


class SilentProgress(Progress):
    """Shows nothing: for tests and for use as a library."""

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Advance]:
        yield lambda units: None

    def say(self, line: str) -> None:
        pass


class LineProgress(Progress):
    """Plain lines for logs: one when a stage begins and ends, and one every ``every`` seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self.every = every

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Advance]:
        begun = last = time.monotonic()
        first = done
        self.say(f"{title}: 0 s, {done}/{total}")

        def advance(units: int) -> None:
            nonlocal done, last
            done += units
            now = time.monotonic()
            if now - last >= self.every and done > first:
                last = now
                left = (now - begun) / (done - first) * max(total - done, 0)
                self.say(f"{title}: {now - begun:.0f} s, {done}/{total}, about {left:.0f} s left")

        yield advance
        self.say(f"{title}: finished in {time.monotonic() - begun:.1f} s")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class LiveProgress(Progress):
    """Bars with the time left, on a terminal; use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._bar = RichBar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def __enter__(self) -> LiveProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Advance]:
        task = self._bar.add_task(title, total=total, completed=done)
        yield lambda units: self._bar.advance(task, units)
        self._bar.update(task, completed=total)

    def say(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False)


def for_terminal() -> AbstractContextManager[Progress]:
    """Return bars where a person looks on, plain lines elsewhere; both on stderr."""
    live = sys.stderr.isatty()
    return LiveProgress(Console(stderr=True)) if live else nullcontext(LineProgress())
