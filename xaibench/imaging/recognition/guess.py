"""What somebody's images seem to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xaibench.imaging.dicom import is_dicom

_LOOKED_AT = 20  # files

HEADERS = "patients: by the headers of the DICOM files, if all of them name one"
PATIENTS = "nobody says which patient an image is of, so each counts as a patient of its own; {}"


@dataclass
class Guess:
    """A data set's section of a config, and how it came about.

    Attributes:
        settings: ``use`` and the parameters.
        took: what was taken for what.
        unsure: what may be otherwise, with what is to be said then.
        regression: whether labels are numbers.
    """

    settings: dict[str, Any]
    took: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    regression: bool = False

    @property
    def masked(self) -> bool:
        """Whether it says where the evidence is."""
        return not self.settings.keys().isdisjoint({"masks", "mask", "boxes"})


def are_dicom(files: Sequence[Path]) -> bool:
    """Return whether the first files, all of them, are DICOM."""
    return bool(files) and all(map(is_dicom, files[:_LOOKED_AT]))
