"""DICOM files that are made up element by element."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

IDENTITY = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "ID-20731-XQ",
    "PatientBirthDate": "19640812",
    "PatientAddress": "Heidestrasse 17",
    "AccessionNumber": "ACC5550123",
    "ReferringPhysicianName": "Doktor^Faust",
    "InstitutionName": "Charite Nord",
    "StudyDate": "20240229",
    "StudyInstanceUID": "1.2.826.0.1.3680043.99.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.99.2",
    "OtherPatientIDs": "OTHER-8842",
}


def item(**elements: object) -> Dataset:
    """One item of a sequence."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def table(entries: object, first: int = 0, bits: int = 16, vr: str = "US") -> Dataset:
    """An item of a Modality or VOI LUT Sequence. ``entries``: numbers, or bytes with VR OW."""
    made = Dataset()
    made.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    made.add_new("LUTData", vr, entries)
    return made


def dataset(pixels: np.ndarray, **elements: object) -> Dataset:
    """A data set of grey or, by a last axis of 3, colour; elements of ``None`` are left out.

    Pixels of 16 bits are little-endian until `write` puts them as the syntax has them.
    """
    colour = pixels.shape[-1] == 3
    if pixels.ndim > (3 if colour else 2):
        elements = {"NumberOfFrames": len(pixels), **elements}
    rows, columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    defaults = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=["dicom_files"]),
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "PlanarConfiguration": 0 if colour else None,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    values = defaults | elements
    values.setdefault("HighBit", values["BitsStored"] - 1)
    made = item(**{k: v for k, v in values.items() if v is not None})
    made.add_new(
        "PixelData",
        "OB" if bits == 8 else "OW",
        pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(),
    )
    return made


def write(
    path: Path, pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **elements: object
) -> Path:
    """Write a native file."""
    return save(path, dataset(pixels, **elements), syntax)


def save(path: Path, made: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    if syntax == ExplicitVRBigEndian and made.BitsAllocated > 8:
        words = np.frombuffer(made.PixelData, f"<u{made.BitsAllocated // 8}")
        made.PixelData = words.byteswap().tobytes()
    if len(made.PixelData) % 2:
        made.PixelData += b"\0"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(path, enforce_file_format=True)
    return path


def write_encoded(
    path: Path, pixels: np.ndarray, frames: list[bytes], syntax: str, **elements: object
) -> Path:
    """Write frames that are encoded already, with the header that ``pixels`` would have."""
    made = dataset(pixels, **elements)
    made["PixelData"].VR = "OB"
    made.PixelData = encapsulate(frames)
    made["PixelData"].is_undefined_length = True
    return save(path, made, syntax)


def groups(**elements: object) -> Sequence:
    """A functional group: ``PixelValueTransformationSequence`` or ``FrameVOILUTSequence``."""
    return Sequence([item(**elements)])
