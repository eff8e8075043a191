"""Why a DICOM file gives no picture."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - as BadImage, which it becomes
    """The reason in a few words, behind the file's name; they repeat no text of the header."""
