"""Which files are meant as DICOM."""

from __future__ import annotations

from pathlib import Path

EXTENSIONS = frozenset({".dcm", ".dicom"})

_PREAMBLE = 128  # bytes that mean nothing, before the four letters
_INDEX = "DICOMDIR"  # the table of contents of a medium (PS3.10, 8.6)


def is_dicom(path: Path) -> bool:
    """Return whether a file is meant as DICOM, by its extension or, without one, its preamble.

    A name that ends in a number has no extension: archives name files by UIDs (``1.2.840.1``). A
    file of another extension is not opened. An index (``DICOMDIR``) is no image. False where the
    file cannot be read.
    """
    ending = path.suffix.lower()
    if ending in EXTENSIONS:
        return True
    if path.name == _INDEX or not (ending == "" or ending[1:].isdigit()):
        return False
    try:
        if not path.is_file():  # a pipe, at which whoever opens it waits
            return False
        with path.open("rb") as file:
            return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError:
        return False
