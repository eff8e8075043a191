"""What people call things: columns of patients and labels, folders of masks."""

from __future__ import annotations

import re
from collections.abc import Iterable

PATIENT = frozenset(
    {
        "patient", "patientid", "patientno", "patientnumber", "patientname", "subject",
        "subjectid", "case", "caseid", "person", "personid", "participant", "participantid",
        "slide", "slideid", "mrn", "pid", "group", "groupid", "groups", "patients",
    }
)  # fmt: skip
LABEL = frozenset(
    {
        "label", "labels", "class", "classes", "target", "targets", "diagnosis", "dx", "finding",
        "findings", "findinglabels", "category", "grade", "y", "outcome", "disease", "pathology",
        "level",
    }
)  # fmt: skip
ASIDE = frozenset(
    {
        "sex", "gender", "view", "viewposition", "position", "site", "scanner", "device",
        "manufacturer", "modality", "hospital", "laterality", "side", "fold", "index", "age",
        "race", "ethnicity", "width", "height", "originalimagewidth",
    }
)  # fmt: skip
"""Columns of few values that are seldom what a model is to learn."""
IMAGES = frozenset(
    {
        "image", "images", "img", "imgs", "x", "data", "pixels",
    }
)  # fmt: skip
MASKS = frozenset(
    {
        "mask", "masks", "segmentation", "segmentations", "seg", "annotations", "groundtruth",
    }
)  # fmt: skip
BOXES = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
)


def bare(name: str) -> str:
    """Return a name in small letters and digits alone: ``Patient ID`` is ``patientid``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def called(names: Iterable[str], known: frozenset[str]) -> list[str]:
    """Return those names that are known."""
    return [name for name in names if bare(name) in known]
