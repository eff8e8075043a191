"""Limits of seconds and of memory on each call of a plugin in a run.

A thread looks at the clock and at the process's memory. Where a call is over a limit it
interrupts the call by a signal whose handler raises `OverLimitError`, and again each second where
a plugin swallows that. A call that never comes back to Python is written down, and the process
ends with the exit code HUNG; the same command goes on after that call. Off the main thread, where
the signal is in use, and on Windows, Python itself raises the error at the call's next step: what
waits in the system, such as a sleep, is then interrupted only when it returns.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import torch

from xaibench.atomic import write_text
from xaibench.config.sections import LimitOptions
from xaibench.runs.rows import Outcome

HUNG = 75
"""Exit code of a process whose plugin never came back to Python (EX_TEMPFAIL: try again)."""
SHARE = 0.9
"""Of the machine's memory, where the config names no limit."""

_INTERVAL, _AGAIN = 0.05, 1.0  # seconds between two looks, and between two interruptions
_GROWN = 0.1  # a call that has not grown by this share of the limit is not what took the memory
_GIB = 2**30
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SIGNAL = getattr(signal, "SIGUSR2", None)
T = TypeVar("T")


class OverLimitError(BaseException):
    """A call is over a limit; no `Exception`, which a plugin may take for one of its own."""


@dataclass
class _Call:
    """A call that is under way.

    Attributes:
        reason: of the interruption; None while there is none.
        since, last: when it was interrupted first and last.
    """

    name: str
    begun: float
    memory: int
    reason: str | None = None
    since: float = 0.0
    last: float = 0.0


class Watch:
    """Watches the calls of plugins, one after the other, while its block is open.

    Args:
        limits: None for no limits.
        notes: a folder for what is kept of calls that never came back.
        grace: seconds in which an interrupted call may end before the process does.
    """

    def __init__(
        self, limits: LimitOptions | None = None, notes: Path | None = None, grace: float = 30.0
    ) -> None:
        self._seconds = limits.seconds if limits else None
        self._bytes = _memory_limit(limits) if limits else None
        self._grace, self._notes = grace, notes
        self._call: _Call | None = None
        self._process = psutil.Process()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._broken: dict[str, str] = {}
        self._under_way: int | None = None

    def __enter__(self) -> Watch:
        if self._notes:
            self._notes.mkdir(parents=True, exist_ok=True)
            self._broken = _broken(self._notes, self._seconds)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            self._under_way = os.open(_under_way(self._notes), flags)
        main = threading.current_thread() is threading.main_thread()
        self._by_signal = (
            main and _SIGNAL is not None and signal.getsignal(_SIGNAL) is signal.SIG_DFL
        )
        if self._by_signal:
            signal.signal(_SIGNAL, self._raise)
        self._ident = threading.get_ident()
        self._thread = threading.Thread(target=self._look, daemon=True, name="limits")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._thread = None
        if self._by_signal:
            signal.signal(_SIGNAL, signal.SIG_DFL)
        if self._under_way is not None:
            os.close(self._under_way)
            _under_way(self._notes).unlink(missing_ok=True)

    def attempt(self, name: str, act: Callable[[], T]) -> T | Outcome:
        """Return what a call gives, or, where it was over a limit, what became of it.

        Args:
            name: of the call in this run, in words; one that never came back is known by it.
        """
        if reason := self._broken.get(name):
            return Outcome("failed", reason)
        if self._thread is None:
            return act()
        call, graded = self._begun(name), torch.is_grad_enabled()
        try:
            with self._watched(call):
                found = act()
            if call.reason is None:
                return found
        except OverLimitError:
            pass
        except (Exception, SystemExit):
            if call.reason is None:  # else it is what the plugin made of the interruption
                raise
        torch.set_grad_enabled(graded)  # it may have been interrupted on its way into no_grad
        gc.collect()  # what the call held goes now, not in the next call
        return Outcome("failed", call.reason)

    def _begun(self, name: str) -> _Call:
        return _Call(name, time.monotonic(), self._process.memory_info().rss)

    @contextmanager
    def _watched(self, call: _Call) -> Iterator[None]:
        if self._under_way is not None:
            os.ftruncate(self._under_way, 0)
            os.write(self._under_way, f"{call.name}\n".encode())
            if self._seconds:  # where native code keeps the interpreter's lock, no thread runs
                last = self._seconds + 2 * self._grace
                faulthandler.dump_traceback_later(last, exit=True, file=self._under_way)
        self._call = call
        try:
            yield
        finally:
            self._call = None
            if not self._by_signal:  # one that is on its way must not reach what comes next
                _set_error(self._ident, None)
            if self._under_way is not None:
                faulthandler.cancel_dump_traceback_later()

    def _look(self) -> None:
        """Look at the call until the block ends; the thread's own life."""
        while not self._over.wait(_INTERVAL):
            if (call := self._call) is None:
                continue
            now = time.monotonic()
            if call.reason is None:
                call.reason, call.since = self._reason(call, now), now
            if call.reason is None:
                continue
            if now - call.since > self._grace and self._call is call:
                self._end(call)
            if now - call.last >= _AGAIN:
                call.last = now
                self._interrupt(call)

    def _reason(self, call: _Call, now: float) -> str | None:
        if self._seconds and now - call.begun > self._seconds:
            return f"took longer than {self._seconds:g} s (limits.seconds)"
        if self._bytes:
            held = self._process.memory_info().rss
            if held > self._bytes and held - call.memory > _GROWN * self._bytes:
                return (
                    f"brought the process to {held / _GIB:.2f} GiB of memory, more than "
                    f"{self._bytes / _GIB:.2f} (limits.memory_gb)"
                )
        return None

    def _interrupt(self, call: _Call) -> None:
        if self._by_signal:
            signal.pthread_kill(self._ident, _SIGNAL)
        elif self._call is call:
            _set_error(self._ident, OverLimitError)

    def _raise(self, *_: object) -> None:
        """Handle the signal; one that comes after its call has ended does nothing."""
        if (call := self._call) is not None and call.reason is not None:
            raise OverLimitError(call.reason)

    def _end(self, call: _Call) -> None:
        """End the process, whose main thread does not come back."""
        if self._under_way is not None:
            os.write(self._under_way, f"{call.reason}; it never came back to Python\n".encode())
        print(
            f"xaibench: {call.name} {call.reason} and does not come back to Python; it is written "
            "down as failed, and the same command goes on after it",
            file=sys.stderr,
            flush=True,
        )
        os._exit(HUNG)


def _memory_limit(limits: LimitOptions) -> int:
    if limits.memory_gb is not None:
        return int(limits.memory_gb * _GIB)
    found = [psutil.virtual_memory().total]
    for file in map(Path, _CGROUPS):
        try:
            found.append(int(file.read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return int(SHARE * min(found))


def _under_way(notes: Path) -> Path:
    return notes / "under_way.txt"


def _broken(notes: Path, seconds: float | None) -> dict[str, str]:
    """Return the calls that never came back, by name, with their reasons; notes the last one.

    A call that is merely the last one, since the run was stopped or killed, is not among them.
    """
    file, last = notes / "broken.json", _under_way(notes)
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    text = last.read_text(encoding="utf-8") if last.is_file() else ""
    name, _, said = text.partition("\n")
    if said:
        told = said.splitlines()[0]
        if told.startswith("Timeout"):  # of faulthandler, in the place of the thread
            told = f"took longer than {seconds:g} s (limits.seconds); it never came back to Python"
        known[name] = told
        write_text(file, json.dumps(known, indent=1))
    return known


def _set_error(ident: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an error at its next step; None takes back what it has not raised yet."""
    raised = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), raised)
