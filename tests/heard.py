"""A progress that keeps what it is told."""

from __future__ import annotations

from xaibench.progress import SilentProgress


class Heard(SilentProgress):
    """Keeps each line that would be said, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
