"""What a pickle asks for, read as a list of opcodes: nothing is imported, called or built."""

from __future__ import annotations

import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

HIDDEN = "a hidden name"
_LEGACY = 5  # pickles that a torch.save before 1.6 puts one behind the other
_SAME_MODULE = {"posix": "os", "nt": "os"}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_NO_PICKLE = (ValueError, IndexError, OverflowError, UnicodeDecodeError)


@dataclass(frozen=True)
class Asked:
    """What a file's pickles ask for.

    Attributes:
        names: ``module.name`` of each global, each once, in their order; HIDDEN for one that is put
            together on the way.
        whole: whether a pickle came to its end.
    """

    names: tuple[str, ...] = ()
    whole: bool = False


def asked_by(path: Path) -> Asked:
    """Return what the pickles of a file of ``torch.save`` ask for; nothing where it has none."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return asked_in(file)
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = pickle_in(archive)
            if pickled is None:
                return Asked()
            with archive.open(pickled) as file:
                return asked_in(file)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        return Asked()


def pickle_in(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the pickle in an archive of ``torch.save``; None where it is another."""
    return next((n for n in archive.namelist() if n.rpartition("/")[2] == "data.pkl"), None)


def asked_in(file: BufferedIOBase) -> Asked:
    """Return what the pickles at a file's beginning ask for."""
    names: dict[str, None] = {}
    whole = False
    for _ in range(_LEGACY):
        try:
            for name in _globals(file):
                names[name] = None
        except _NO_PICKLE:
            break  # behind the pickles of an old file lie bare numbers
        whole = True
    return Asked(tuple(names), whole)


def _globals(file: BufferedIOBase) -> Iterator[str]:
    """Yield ``module.name`` of each global that a pickle asks for, in its order."""
    pushed: list[object] = [None, None]
    memo: dict[object, object] = {}
    for code, argument, _ in pickletools.genops(file):
        if code.name in ("GLOBAL", "INST"):
            yield _spelled(*str(argument).split(" ", 1))
        elif code.name == "STACK_GLOBAL":
            yield _spelled(*pushed[-2:])
        elif code.name.startswith("EXT"):
            yield f"copyreg extension {argument}"
        elif code.name in _PUTS:
            memo[len(memo) if argument is None else argument] = pushed[-1]
            continue
        if code.name in _GETS:
            pushed.append(memo.get(argument))
        elif code.stack_after:
            pushed.append(argument if isinstance(argument, str) else None)


def _spelled(module: object, name: object) -> str:
    """Return a global as people write it, by the names of Python 3."""
    if not isinstance(module, str) or not isinstance(name, str):
        return HIDDEN
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{_SAME_MODULE.get(module, module)}.{name}"
