"""What is used of a DICOM header: a pseudonym of the patient, and no other identity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from xaibench.imaging.dicom.refused import Refused

_PATIENT = ("PatientID", "PatientName", "StudyInstanceUID")  # the first that is given
KEYWORDS = (
    *_PATIENT,
    "ViewPosition",
    "ImageLaterality",
    "Laterality",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "BitsStored",
)

_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # PS3.5 6.2, CS
_SIDES = frozenset("LRBU")  # left, right, both, unpaired
_DIGITS = 16  # 64 bits: two of a million patients meet once in 40 million data sets


@dataclass(frozen=True)
class Header:
    """What a data set may use of a header. A text is "" where the file says nothing usable.

    Attributes:
        patient: equal for images of one patient, and nothing else: the first digits of the SHA-256
            of Patient ID, or else of Patient's Name, or else of Study Instance UID; None where a
            file has none of them. A pseudonym, not anonymity: who knows an ID can compute it, and
            short numbers can be tried in turn. Files made anonymous with one ID for everybody are
            of one patient.
        view_position: of a radiograph: PA, AP, LL, ...; of a mammogram: CC, MLO, ...
        laterality: L, R, B (both) or U (unpaired); of the image before that of the series.
        modality: CR, DX, MG, CT, ...
        photometric_interpretation: MONOCHROME1, MONOCHROME2, RGB, ...
        bits_stored: of a sample; 0 where the file does not say.
    """

    patient: str | None
    view_position: str
    laterality: str
    modality: str
    rows: int
    columns: int
    frames: int
    photometric_interpretation: str
    bits_stored: int


def header_of(attributes: Mapping[str, object]) -> Header:
    """Return the header of the attributes of `KEYWORDS` that a file has; Refused for no picture."""
    rows, columns = (_count(attributes.get(keyword)) for keyword in ("Rows", "Columns"))
    if not rows or not columns:
        raise Refused("has no pixels")
    sides = (_code(attributes.get(keyword)) for keyword in ("ImageLaterality", "Laterality"))
    return Header(
        patient=_patient(attributes),
        view_position=_code(attributes.get("ViewPosition")),
        laterality=next((side for side in sides if side in _SIDES), ""),
        modality=_code(attributes.get("Modality")),
        rows=rows,
        columns=columns,
        frames=_frames(attributes.get("NumberOfFrames")),
        photometric_interpretation=_code(attributes.get("PhotometricInterpretation")),
        bits_stored=_count(attributes.get("BitsStored")),
    )


def _patient(attributes: Mapping[str, object]) -> str | None:
    for keyword in _PATIENT:
        value = str(attributes.get(keyword) or "").strip()
        if value:
            known = hashlib.sha256(f"{keyword}:{value}".encode(errors="surrogatepass"))
            return known.hexdigest()[:_DIGITS]
    return None


def _code(value: object) -> str:
    """Return a code as the standard writes it; "" for any other text, which may be a name."""
    text = value.strip() if isinstance(value, str) else ""
    return text if _CODE.fullmatch(text) else ""


def _frames(value: object) -> int:
    if value is not None and not isinstance(value, int):
        raise Refused("has no usable NumberOfFrames")
    return _count(value) or 1


def _count(value: object) -> int:
    return int(value) if isinstance(value, int) and value > 0 else 0
