"""Which patient an image is of, as far as headers and names of files seem to tell it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from xaibench.imaging.dicom import is_dicom
from xaibench.imaging.recognition.guess import Guess

UNKNOWN = "nobody says which patient an image is of, so each counts as a patient of its own; {}"
WORDS = r"(?i)(?:patient|subject|case|slide|person|sub)[-_]?\d+"
"""What calls itself a patient, in a file's name or its folders'."""
BEFORE_LAST = r"([^/]*)[_-][^/_-]*\.[^./]*$"
"""The patient of ``p01_2.png`` is ``p01``."""
_FEWEST = 10  # patients
_LARGEST = 0.1  # share of the images that are of one patient
_LOOKED_AT = 20  # files


def take_patients(
    guess: Guess,
    root: Path,
    paths: Sequence[str],
    splits: Sequence[str] | None = None,
    mend: str = "if names tell it, add patient: REGEX",
) -> None:
    """Add to a guess what tells the patients of images below a root, or that nothing does.

    Args:
        splits: of the images, where they are given: no patient may be in two.
        mend: what is to be done where nothing tells.
    """
    if paths and all(is_dicom(root / path) for path in paths[:_LOOKED_AT]):
        guess.took.append("patients: by the headers of the DICOM files, if all of them name one")
        return
    for pattern in (WORDS, BEFORE_LAST):
        if images := told_by(pattern, paths):
            break
    else:
        guess.unsure.append(UNKNOWN.format(mend))
        return
    patient = max(images, key=lambda name: len(images[name]))
    own = " and ".join(paths[at] for at in images[patient][:2])
    if splits and any(len({splits[at] for at in of}) > 1 for of in images.values()):
        why = f"names look as if {own} were of {patient}, but then some would be in two splits"
        guess.unsure.append(UNKNOWN.format(why))
        return
    guess.settings["patient"] = pattern
    guess.unsure.append(
        f"patients: by names; {own} are of {patient}. If that is wrong, mend or remove patient"
    )


def told_by(pattern: str, paths: Sequence[str]) -> dict[str, list[int]]:
    """Return patient -> numbers of their paths, if a pattern seems to tell it; else nothing.

    It finds something with a digit in every path, there are ten and more, some with several images,
    and what only stands before the last ``_`` or ``-`` has never many of all.
    """
    images: dict[str, list[int]] = defaultdict(list)
    for at, path in enumerate(paths):
        match = re.search(pattern, path)
        if not match or not re.search(r"\d", match[match.re.groups]):
            return {}
        images[match[match.re.groups]].append(at)
    most = max(map(len, images.values()), default=0)
    many = pattern == BEFORE_LAST and most > max(_LARGEST * len(paths), 2)
    return {} if len(images) < _FEWEST or most < 2 or many else images
