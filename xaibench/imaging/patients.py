"""Which patient (or slide, or subject) an image is of, told from its path or a table beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.dicom import is_dicom, read_header
from xaibench.imaging.image_files import BadImage
from xaibench.imaging.many_files import of_each
from xaibench.progress import Progress

_NAMED = 3


def say_unknown(progress: Progress, mend: str, which: str = "each image") -> None:
    """Say, loudly, that nobody says of whom images are.

    Args:
        mend: the parameters by which it can be said.
        which: images they are.
    """
    progress.say(
        f"patients: not known, so that {which} counts as a patient of its own; where several are "
        f"of one, they leak from training to test: name them by {mend}"
    )


def of_files(
    root: Path, paths: Sequence[str], pattern: str | None, mend: str, progress: Progress
) -> Sequence[str]:
    """Return the patient of each path below a root: by a pattern, or by the headers of DICOM files.

    Where neither tells, an image is a patient of its own, which is said.

    Args:
        mend: the parameters by which patients can be named.
    """
    if pattern is not None:
        return by_pattern(paths, pattern)
    told = by_header([root / path for path in paths], progress)
    if unknown := told.count(None):
        some = f"each of {unknown} of {len(paths)} images"
        say_unknown(progress, mend, "each image" if unknown == len(paths) else some)
    return [path if known is None else known for path, known in zip(paths, told, strict=True)]


def check_pattern(pattern: str | None) -> None:
    """Raise UserError for a pattern that is none, or has several groups and none named patient."""
    if pattern is None:
        return
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"patient: {pattern!r} is no regular expression ({error}); such as '(p\\d+)_'"
        ) from None
    if compiled.groups > 1 and "patient" not in compiled.groupindex:
        raise UserError(
            f"patient: {pattern!r} has {compiled.groups} groups; keep one, or name the one that is "
            "the patient: (?P<patient>...)"
        )


def by_pattern(paths: Sequence[str], pattern: str, needed: str = "") -> list[str]:
    """Return the patient of each path: what the pattern finds first in it.

    That is its group ``patient``, or its only group, or the whole that was found.

    Args:
        needed: what a path must be, in words, where the pattern is not the user's.

    Raises:
        UserError: paths in which it finds nothing.
    """
    compiled = re.compile(pattern)
    which = "patient" if "patient" in compiled.groupindex else compiled.groups
    found = [compiled.search(path) for path in paths]
    lost = [path for path, match in zip(paths, found, strict=True) if not (match and match[which])]
    if lost:
        many = f"{len(lost)} of {len(paths)} paths ({', '.join(lost[:_NAMED])})"
        raise UserError(
            f"{many} name no patient: {needed}"
            if needed
            else f"patient: {pattern!r} finds nothing in {many}; mend it, or name patients by a "
            "table (groups)"
        )
    return [match[which] for match in found]


def by_header(files: Sequence[Path], progress: Progress) -> list[str | None]:
    """Return the patient of each file, a pseudonym of what its DICOM header says.

    None where a file is no DICOM, or names no patient.
    """
    dicom = [file for file in files if is_dicom(file)]
    if not dicom:
        return [None] * len(files)
    told = of_each(dicom, _of_header, progress=progress, title="Patients of DICOM headers")
    known = dict(zip(dicom, told, strict=True))
    return [known.get(file) for file in files]


def _of_header(file: Path) -> str | None:
    try:
        return read_header(file).patient
    except BadImage:  # which is told where its picture is read
        return file.name


def by_table(paths: Sequence[str], table: pd.DataFrame, file: Path) -> list[str]:
    """Return the patient of each path from a table with the columns ``path`` and ``patient``.

    Raises:
        UserError: a column or a path that it lacks, a path with two patients.
    """
    for column in ("path", "patient"):
        if column not in table:
            raise UserError(f"groups: {file} lacks the column {column!r}; has {', '.join(table)}")
    known = table.dropna(subset=["path", "patient"]).drop_duplicates(["path", "patient"])
    if (twice := known["path"].duplicated()).any():
        raise UserError(f"groups: {file} gives {known['path'][twice].iloc[0]} two patients")
    patients = known.set_index("path")["patient"]
    if lost := [path for path in paths if path not in patients.index]:
        raise UserError(
            f"groups: {file} lacks {len(lost)} of {len(paths)} images "
            f"({', '.join(lost[:_NAMED])}); paths are those below root, with /"
        )
    return [str(patient) for patient in patients.loc[list(paths)]]
