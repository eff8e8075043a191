"""Names of files as a table spells them and as the disk does."""

from __future__ import annotations

import unicodedata
from pathlib import Path


def as_spelled(root: Path, path: str) -> str:
    """Return a path below a root as the disk spells it, if in another form of the same letters.

    An ``é`` is one sign (NFC) or two (NFD), by the system that packed the files or typed the table.
    Returned as it is where neither is there.
    """
    if path.isascii() or is_there(root / path):
        return path
    forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
    return next((form for form in forms if is_there(root / form)), path)


def alike(file: Path) -> str | None:
    """Return the name of a file beside one that is not there, but for case or extension the same.

    The first by name; None where there is none.
    """
    asked = file.name.casefold()
    stems = {asked, file.stem.casefold()}
    try:
        names = sorted(other.name for other in file.parent.iterdir())
    except OSError:
        return None
    close = [name for name in names if Path(name).stem.casefold() in stems]
    same = [name for name in close if name.casefold() == asked]
    return next(iter([*same, *close]), None)


def is_there(file: Path) -> bool:
    """Return whether a name, however long it is, leads to a file."""
    try:
        return file.is_file()
    except OSError:  # a name that is too long
        return False
