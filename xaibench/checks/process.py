"""Checks of a plugin in a process of its own, which it may end or let hang; without torch."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import xaibench
from xaibench.checks.check import SECONDS, CheckResult, took_too_long
from xaibench.progress import Advance, Progress, SilentProgress
from xaibench.registry import KINDS, find_named

IMPORTED = "can be imported and made with its defaults"
"""The first check of all, which `checks_for` has behind it."""

_START = 300.0  # seconds for what is ours to be imported, on a busy machine
_GRACE = 10.0  # seconds beyond a check's own, after which its process is ended
_PATIENCE = 3
"""Checks that may end the process or take too long; after them the others are not run."""

Event = dict[str, object]


def run_checks(
    named: str,
    settings: Sequence[str] = (),
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Iterator[CheckResult]:
    """Yield the result of each check, as it comes.

    Args:
        named: a file, a name, ``KIND:NAME`` or ``package.module:Class``.
        settings: ``key=value`` each: parameters other than the defaults, the value as YAML.

    Raises:
        UserError: there is no such plugin.
    """
    kind = find_kind(named)
    command = ["--seconds", str(seconds), "--kind", kind or ""]
    command += [word for setting in settings for word in ("--set", setting)]
    return _results([*command, "--", named], seconds, progress or SilentProgress())


def find_kind(named: str) -> str | None:
    """Return a plugin's kind without importing it; None for a dotted path, which does not tell.

    Raises:
        UserError: there is no such plugin.
    """
    first, colon, _ = named.partition(":")
    if colon and first not in KINDS and not Path(named).is_file():
        return None
    return find_named(named).kind


def _results(asked: Sequence[str], seconds: float, progress: Progress) -> Iterator[CheckResult]:
    child = _Child(asked, first=0)
    try:
        result = child.imported(seconds)
        yield result
        if result.failed:
            return
        names = child.names()
        with progress.stage("checking", len(names)) as advance:
            yield from _each(asked, child, names, seconds, advance)
    finally:
        child.end()


def _each(
    asked: Sequence[str], child: _Child, names: list[str], seconds: float, advance: Advance
) -> Iterator[CheckResult]:
    number, spoilt, gone = 0, 0, None
    try:
        while number < len(names):
            if gone is None and child is None:
                child = _Child(asked, first=number)
                again = child.imported(seconds)
                if again.failed or child.names() != names:
                    gone = f"the plugin could not be loaded again: {again.why}"
            if gone is not None:
                yield CheckResult(names[number], "not run", gone)
            else:
                result, alive = child.result(names[number], seconds)
                yield result
                spoilt += not alive or result.why == took_too_long(seconds)
                if not alive or spoilt == _PATIENCE:
                    child.end()
                    child = None
                if spoilt == _PATIENCE:
                    gone = f"{_PATIENCE} checks before it ended the process or took too long"
            advance(1)
            number += 1
    finally:  # a restarted process must not outlive a command that is interrupted
        if child is not None:
            child.end()


class _Child:
    """A process that checks, and what it says."""

    def __init__(self, asked: Sequence[str], first: int) -> None:
        # -P: a file beside the user must not stand for a library of the same name.
        command = [sys.executable, "-P", "-m", "xaibench.checks.child", "--first", str(first)]
        home = str(Path(xaibench.__file__).parents[1])
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*command, *asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def imported(self, seconds: float) -> CheckResult:
        """Return whether the plugin could be loaded."""
        if self._event("ready", _START) is None:
            raise RuntimeError(f"checks could not be started: {self._last_words()}")
        result, _ = self._result(IMPORTED, seconds)
        return result

    def names(self) -> list[str]:
        event = self._event("checks", _GRACE)
        return event["names"] if event else []

    def result(self, name: str, seconds: float) -> tuple[CheckResult, bool]:
        """Return a check's result, and whether the process goes on."""
        return self._result(name, seconds)

    def _result(self, name: str, seconds: float) -> tuple[CheckResult, bool]:
        try:
            event = self._event("end", seconds + _GRACE)
        except TimeoutError:
            self.end()
            return CheckResult(name, "failed", took_too_long(seconds), seconds), False
        if event is None:
            return CheckResult(name, "failed", self._end_told()), False
        return CheckResult(event["name"], event["state"], event["why"], event["seconds"]), True

    def _event(self, wanted: str, seconds: float) -> Event | None:
        """Return the next event of a name; None where the process has ended without it."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            return None
        event = json.loads(line)
        return event if event["event"] == wanted else self._event(wanted, seconds)

    def _end_told(self) -> str:
        try:
            code = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return "closed the line to the checks and did not end"
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        words = self._last_words()
        return f"ended the process ({how})" + f": {words}" * bool(words)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return (fatal or lines or [""])[-1]

    def end(self) -> None:
        """End the process, and with it whatever hangs there."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.join(timeout=1)  # longer where a process that it began holds its line
        if not self._listener.is_alive():
            self._process.stdout.close()
        self._errors.close()
