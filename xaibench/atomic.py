"""Files that appear whole or not at all, and what a file system that refuses them is told as."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xaibench.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
_RIGHTS = (errno.EACCES, errno.EPERM)
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
# Libraries that write for us put the system's words into errors of their own.
_WORDS = {"no space left": errno.ENOSPC, "disk quota": errno.EDQUOT, "read-only": errno.EROFS}
_NO_ROOM = 1 << 16  # bytes that are left on a disk that counts as full


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling to write; it takes ``path``'s place if nothing was raised.

    Raises:
        UserError: the file system refuses it: it is full, or may not be written.
    """
    # The ending stays, since writers choose their format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of text, in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what the file system refuses while ``path`` is written into one UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if told := refusal(error, path):
            raise told from error
        raise


def refusal(error: Exception, path: Path | None = None) -> UserError | None:
    """Return what an error means if it is a file system's refusal; else None.

    Args:
        path: what was being written; None for the file that the error names.
    """
    named = getattr(error, "filename", None)
    code = error.errno if isinstance(error, OSError) else None
    if code in _RIGHTS and path is not None and isinstance(named, str | Path):
        at = Path(named)
        if at not in (path, *path.parents) and path.parent not in at.parents:
            return None  # another file, such as one that is read meanwhile
    if code is None:  # a library's own error, which may name its cause, or not
        text = str(error).lower()
        code = next((number for words, number in _WORDS.items() if words in text), None)
        if code is None and path is not None and _no_room(path):
            code = errno.ENOSPC
    place = path or named or "a file"
    if code in _FULL:
        why = f"cannot be written: {os.strerror(code)}; make room, and the same command goes on"
    elif code in _REFUSED:
        doing = "opened" if path is None else "written"
        why = f"cannot be {doing}: {os.strerror(code)}; name another place, or change its rights"
    elif code in _NO_FOLDER and path is not None:
        why = "cannot be written: a part of its path is a file; name another place"
    else:
        return None
    return UserError(f"{place}: {why}")


def check_writable(folder: Path, said: str) -> None:
    """Raise UserError where a folder cannot be made or written; nothing is left there.

    Args:
        said: how the user named it, such as ``--out``.
    """
    place = folder
    mend = "name another folder, or make this one writable"
    try:
        while not (place.exists() or place.is_symlink()) and place != place.parent:
            place = place.parent
        if not place.is_dir():
            what = "a file" if place.is_file() else "no folder"
            raise UserError(f"{said} {folder}: {place} is {what}; name another folder")
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_NO_ROOM))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{said} {folder}: cannot be written ({why}); {mend}") from None


def _no_room(path: Path) -> bool:
    for place in path.parents:
        if place.is_dir():
            return shutil.disk_usage(place).free < _NO_ROOM
    return False
