"""One check of a plugin: a promise, how it is tried, and what came of it. Imports no torch."""

from __future__ import annotations

import signal
import threading
import time
import unittest
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from xaibench.errors import UserError

State = Literal["passed", "failed", "expected failure", "not applicable", "refused", "not run"]

FAILURES: tuple[State, ...] = ("failed", "not run")
"""States for which the plugin does not keep its contract, or nobody knows whether it does."""

SECONDS = 60.0
"""What a check may take, unless asked otherwise."""


class NotApplicableError(Exception):
    """The promise does not concern this plugin; the message says why, in a sentence."""


class RefusedError(Exception):
    """The plugin says that it cannot be used here, by a UserError of ``check(model)``."""


class NotRunError(Exception):
    """What the check needs is not there; the message names the check that tells of it."""


class OutOfTimeError(BaseException):
    """A check took too long; no ``Exception``, so that no plugin catches it unawares."""


class Note(str):
    """What is told of a check that passed."""


@dataclass(frozen=True)
class CheckResult:
    """What came of a check.

    Attributes:
        why: the reason of any other state than ``passed``; else a note, or None.
        seconds: that it took.
    """

    name: str
    state: State
    why: str | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it failed, or could not run: neither is a pass."""
        return self.state in FAILURES


@dataclass(frozen=True)
class Check:
    """A promise and how it is tried; ``check()`` raises AssertionError where it is not kept.

    In pytest: ``@pytest.mark.parametrize("check", xaibench.checks_for(MyExplainer()))`` over a
    test that calls ``check()``. What does not apply, is refused or fails as expected is skipped
    there, with its reason.

    Attributes:
        promise: what the plugin keeps; ``expected`` may name it.
        on: what it is tried on, in words; empty where there is only one such thing.
        act: returns None (kept), a `Note` (kept, and more to tell) or why it is not kept.
        expected: why it may fail; then it must.
    """

    promise: str
    act: Callable[[], str | None] = field(repr=False)
    on: str = ""
    expected: str | None = None

    @property
    def name(self) -> str:
        return f"{self.promise} ({self.on})" if self.on else self.promise

    @property
    def __name__(self) -> str:
        """The name by which pytest calls it."""
        return self.name

    def run(self, seconds: float = SECONDS) -> CheckResult:
        """Try the promise, within ``seconds``."""
        begun = time.perf_counter()
        state, why = self._tried(seconds)
        if self.expected is not None and state == "failed":
            state, why = "expected failure", f"{self.expected} ({why})"
        elif self.expected is not None and state == "passed":
            state = "failed"
            why = f"expected to fail ({self.expected}), and passes: remove it from `expected`"
        return CheckResult(self.name, state, why, time.perf_counter() - begun)

    def __call__(self) -> None:
        result = self.run()
        if result.failed:
            raise AssertionError(f"{self.name}: {result.why}")
        if result.state != "passed":
            raise unittest.SkipTest(f"{result.state}: {result.why}")

    def _tried(self, seconds: float) -> tuple[State, str | None]:
        try:
            with time_limit(seconds):
                why = self.act()
        except NotApplicableError as reason:
            return "not applicable", str(reason)
        except RefusedError as reason:
            return "refused", str(reason)
        except NotRunError as reason:
            return "not run", str(reason)
        except OutOfTimeError:
            return "failed", took_too_long(seconds)
        except SystemExit as end:
            return "failed", f"{told(end)}: a plugin must not end the process"
        except Exception as error:
            return "failed", told(error)
        return ("passed" if why is None or isinstance(why, Note) else "failed"), why


def told(error: BaseException) -> str:
    """Return an exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def took_too_long(seconds: float) -> str:
    return f"took longer than {seconds:g} s; `--seconds` allows more"


def expecting(checks: list[Check], expected: Mapping[str, str]) -> list[Check]:
    """Return the checks with the failures that are expected of them, by promise or whole name.

    Raises:
        UserError: a name that no check has.
    """
    unknown = set(expected) - {c.promise for c in checks} - {c.name for c in checks}
    if unknown:
        raise UserError(f"`expected` names no check: {', '.join(sorted(unknown))}")
    return [replace(c, expected=expected.get(c.name, expected.get(c.promise))) for c in checks]


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError in the block after ``seconds``, where the system has alarms for it.

    What hangs outside Python is not reached by it; ``xaibench check`` then ends the process.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTimeError

    handler = signal.signal(signal.SIGALRM, stop)
    earlier = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *earlier)
        signal.signal(signal.SIGALRM, handler)
