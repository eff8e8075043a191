"""What pydicom warns of and logs, which may repeat values of the header, kept from everyone."""

from __future__ import annotations

import logging
import threading
import warnings
from types import TracebackType

_LOGGER = logging.getLogger("pydicom")


class _Silence:
    """No warnings, and no lines of pydicom's log beyond its own handlers, while a thread is inside.

    `warnings.catch_warnings` alone is for one thread: of two that overlap, the first to leave
    would bring the warnings back for the other, and the last would leave them off.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings(action="ignore")
                self._caught.__enter__()
                self._propagated, _LOGGER.propagate = _LOGGER.propagate, False
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _LOGGER.propagate = self._propagated
                self._caught.__exit__(None, None, None)


silence = _Silence()
