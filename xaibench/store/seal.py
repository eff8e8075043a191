"""Checksums of a finished run's tables and maps: is it still what it was?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xaibench.atomic import write_text
from xaibench.store.damaged import read_mapping

SEAL = "checksums.json"
CODE = ("plugins", "code")
"""Folders of a run with files of plugins, and with code that a plugin names."""
_SEALED = (".parquet", ".csv", ".h5", ".yaml", ".md", ".tex", ".py")


def sums(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of every table, of maps, config and code in a run's folder."""
    found = {}
    code = (path for room in CODE for path in folder.glob(f"{room}/**/*.py"))
    for path in sorted([*folder.iterdir(), *code]):
        # The hidden ones are drafts.
        if path.suffix in _SEALED and not path.name.startswith("."):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found


def seal(folder: Path) -> None:
    """Write ``checksums.json``, once everything else of a run is written."""
    _write(folder, sums(folder))


def sealed(folder: Path) -> dict[str, str] | None:
    """Return the checksums that a run was sealed with; None where it was not."""
    file = folder / SEAL
    return read_mapping(file) if file.is_file() else None


@contextmanager
def resealed(folder: Path) -> Iterator[None]:
    """Take into the seal what is written inside the block, and only that.

    A file that had been changed before keeps its old checksum, unless it is written anew.
    """
    known = sealed(folder)
    before = {} if known is None else sums(folder)
    yield
    if known is not None:
        changed = {k: v for k, v in sums(folder).items() if v != before.get(k)}
        _write(folder, known | changed)


def _write(folder: Path, known: dict[str, str]) -> None:
    write_text(folder / SEAL, json.dumps(known, indent=1, sort_keys=True) + "\n")
