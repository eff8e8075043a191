"""Patients, told from the names of files."""

from __future__ import annotations

import re
from pathlib import PurePath

_PERSON = re.compile(r"(person\d+)_")
_STUDY = re.compile(r"((?:.*-)?im-\d+)(?:-\d+)+$")


def patient_of_kermany(name: str) -> str:
    """Return the patient of an image of the paediatric pneumonia set.

    ``person123_bacteria_45.jpeg`` is ``person123``, ``IM-0115-0001.jpeg`` is ``im-0115``, and
    ``NORMAL2-IM-0666-0001.jpeg`` is ``normal2-im-0666``. Any other name is a patient of its own.

    The archive numbers persons in several of its folders, and does not say whether a number is the
    same child everywhere. Taking it so is the safe side: two children in one split leak nothing.
    """
    stem = PurePath(name).stem.lower()
    found = _PERSON.match(stem) or _STUDY.match(stem)
    return found.group(1) if found else stem
