"""Fetching a file whose checksum is known, and unpacking it: whole and right, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import time
import urllib.request as web
import zlib
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError

from xaibench.errors import UserError
from xaibench.progress import Advance, Progress

BLOCK = 1 << 18
PAUSE = 0.3  # seconds before a new attempt, times the attempts that brought nothing


def download(
    url: str, target: Path, md5: str, progress: Progress, timeout: float = 10.0, attempts: int = 3
) -> Path:
    """Fetch ``url`` (http or https) into ``target`` and return ``target``.

    What came before a break stays in ``NAME.part`` and is continued, in this call or a later one.
    ``timeout`` (seconds, above 0) bounds every wait: for an answer, and for the next bytes of it.
    ``attempts`` (at least 1) broken connections in a row without new bytes end it. A ``target``
    that exists is checked, not fetched. ``UserError`` for a wrong MD5, no answer, or a full disk.
    """
    md5, part = md5.lower(), target.with_name(target.name + ".part")
    try:
        if target.exists():
            if (got := file_md5(target)) != md5:
                raise UserError(f"{target} has MD5 {got}, not {md5}; remove it to fetch it again")
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
        if not have or file_md5(part) != md5:
            _Transfer(url, target, part, progress, timeout, have).run(attempts)
            if (got := file_md5(part)) != md5:
                part.unlink()
                mend = f"run again to fetch it anew, or put the right file at {target} by hand"
                raise UserError(f"{url} gave a file with MD5 {got}, not {md5}; {mend}")
        return _keep(part, target)
    except OSError as error:
        raise UserError(f"cannot store {target}: {_cause(error)}; mend it and run again") from error


def gunzip(source: Path, target: Path, progress: Progress) -> Path:
    """Unpack ``source`` into ``target`` and return that; a broken source raises ``UserError``."""
    part = target.with_name(target.name + ".unpacking")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as packed, gzip.open(packed) as file, part.open("wb") as out:
            if not (size := source.stat().st_size):  # which the gzip module takes for a whole file
                raise EOFError("it is empty")
            with progress.stage(f"Unpacking {source.name}", size) as advance:
                done = 0
                while block := file.read(BLOCK):
                    out.write(block)
                    advance(packed.tell() - done)
                    done = packed.tell()
        return _keep(part, target)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{source} is broken: {_cause(error)}; remove and fetch it anew") from error
    except OSError as error:
        raise UserError(f"cannot unpack {source} into {target}: {_cause(error)}") from error
    finally:
        if part.exists():
            part.unlink()


def file_md5(path: Path) -> str:
    """Return the MD5 of the file's bytes as 32 lower-case hex digits; ``OSError`` if unreadable."""
    with path.open("rb") as file:  # not for security, so it runs where policy forbids MD5
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@dataclass
class _Transfer:
    """One file on its way; its methods raise ``ConnectionError`` where another attempt may help."""

    url: str
    target: Path
    part: Path
    progress: Progress
    timeout: float
    have: int
    advance: Advance | None = None

    def run(self, attempts: int) -> None:
        """Connect until ``part`` is as long as the server says."""
        if not re.match("https?://", self.url, re.IGNORECASE):
            raise self._failure("only http and https addresses can be fetched")
        best, idle = self.have, 0
        with ExitStack() as stages:
            while True:
                try:
                    return self._connect(stages)
                except ConnectionError as error:
                    # A server that starts over and breaks off at the same byte brings nothing new.
                    best, idle = (self.have, 0) if self.have > best else (best, idle + 1)
                    if idle >= attempts:
                        raise self._failure(str(error)) from error
                time.sleep(PAUSE * idle)

    def _connect(self, stages: ExitStack) -> None:
        answer = self._ask(self.have)
        if answer.status == 416 or _span(answer)[0] not in (0, self.have):
            answer.close()
            answer = self._ask(0)
        start, total = _span(answer)
        if self.advance is None:
            stage = self.progress.stage(f"Downloading {self.target.name}", total or 0, start)
            self.advance, self.have = stages.enter_context(stage), start
        self.advance(start - self.have)  # below 0 where the server starts over
        self.have = start
        with answer, self.part.open("ab" if start else "wb") as file:
            # Not read to its end: a server may leave the connection open behind the last byte.
            while (total is None or self.have < total) and (block := _read(answer)):
                self.have += file.write(block)
                self.advance(len(block))
        if self.have < (total or 0):
            raise ConnectionError(f"the connection ended after {self.have} of {total} bytes")

    def _ask(self, start: int) -> HTTPResponse | HTTPError:
        """Ask for the bytes from ``start`` on; the answer, to be closed, has 200, 206 or 416."""
        try:
            return _open(self.url, {"Range": f"bytes={start}-"} if start else {}, self.timeout)
        except (OSError, HTTPException, ValueError) as error:
            # A bare ConnectionError comes from a server that was reached and hung up.
            again = self.advance is not None or isinstance(error, ConnectionError)
            if isinstance(error, HTTPError):
                if error.code == 416 and start:
                    return error
                error.close()
                again = again and error.code >= 500
            raise (ConnectionError if again else self._failure)(_cause(error)) from error

    def _failure(self, cause: str) -> UserError:
        mend = f"run again later, or put the file at {self.target} by hand"
        return UserError(f"cannot fetch {self.url}: {cause}; {mend}")


def _open(url: str, headers: dict[str, str], timeout: float) -> HTTPResponse:
    """Open ``url`` within ``timeout`` seconds in all, else ``TimeoutError``."""
    opener, future = web.build_opener(), Future()
    del opener.handle_open["ftp"]  # to which a redirect could lead

    def work() -> None:
        try:
            future.set_result(opener.open(web.Request(url, headers=headers), timeout=timeout))
        except BaseException as error:
            future.set_exception(error)

    # A socket's timeout does not bound name resolution, and holds anew for each address tried; a
    # daemon thread is not waited for when the program ends.
    Thread(target=work, daemon=True).start()
    try:
        return future.result(timeout)
    except TimeoutError as error:
        future.add_done_callback(lambda late: late.exception() or late.result().close())
        raise TimeoutError(f"no answer within {timeout:g} s") from error


def _read(answer: HTTPResponse) -> bytes:
    """The next bytes, none at the end; errors of the network, told apart from the disk's."""
    try:
        return answer.read1(BLOCK)  # `read` would drop what it has gathered at a break
    except (OSError, HTTPException) as error:
        raise ConnectionError(_cause(error)) from error


def _span(answer: HTTPResponse) -> tuple[int, int | None]:
    """Where in the file the answer begins (-1: it does not say), and the file's length if said."""
    if answer.status != 206:
        return 0, answer.length
    span = re.match(r"bytes (\d+)-\d+/(\d+)?", answer.headers.get("Content-Range", ""))
    return (int(span[1]), int(span[2]) if span[2] else None) if span else (-1, None)


def _keep(part: Path, target: Path) -> Path:
    with part.open("rb+") as file:
        os.fsync(file.fileno())  # else a power cut could leave the final name on missing bytes
    os.replace(part, target)
    return target


def _cause(error: BaseException) -> str:
    """One line for ``error``, without errno numbers."""
    reason = getattr(error, "reason", None) or error
    text = str(getattr(reason, "strerror", None) or reason) or repr(reason)
    return " ".join((f"HTTP {error.code} {text}" if isinstance(error, HTTPError) else text).split())
