"""What is used of a header, and that no identity gets out of a file in any way."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import IDENTITY, table, write

from xaibench.imaging.dicom import Header, read_dicom, read_header
from xaibench.imaging.image_files import BadImage

GREY = np.random.default_rng(0).integers(0, 256, (8, 10), np.uint8)
DATA = Path(pydicom.__file__).parent / "data"


def test_a_header_says_what_is_used(tmp_path):
    file = write(
        tmp_path / "x.dcm",
        GREY,
        **IDENTITY,
        ViewPosition="PA",
        Laterality="L",
        Modality="DX",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert read_header(file) == Header(
        patient=hashlib.sha256(b"PatientID:ID-20731-XQ").hexdigest()[:16],
        view_position="PA",
        laterality="L",
        modality="DX",
        rows=8,
        columns=10,
        frames=1,
        photometric_interpretation="MONOCHROME1",
        bits_stored=8,
    )


@pytest.mark.parametrize(
    ("elements", "known"),
    [
        ({"PatientID": "17", "PatientName": "A^B", "StudyInstanceUID": "1.2"}, "PatientID:17"),
        ({"PatientID": " 17 "}, "PatientID:17"),
        ({"PatientID": "", "PatientName": "A^B", "StudyInstanceUID": "1.2"}, "PatientName:A^B"),
        ({"PatientID": " ", "PatientName": "", "StudyInstanceUID": "1.2"}, "StudyInstanceUID:1.2"),
        ({"PatientName": "Müller^Zoë", "SpecificCharacterSet": "ISO_IR 192"},
         "PatientName:Müller^Zoë"),
        ({}, None),
    ],
)  # fmt: skip
def test_a_patient_is_a_digest_of_the_first_that_is_given(tmp_path, elements, known):
    patient = read_header(write(tmp_path / "x.dcm", GREY, **elements)).patient
    digest = known and hashlib.sha256(known.encode()).hexdigest()[:16]
    assert patient == digest


def test_images_of_one_patient_are_of_one_group(tmp_path):
    ids = ["a", "b", "a", "A"]
    files = [write(tmp_path / f"{at}.dcm", GREY, PatientID=i) for at, i in enumerate(ids)]
    first, second, third, other = (read_header(file).patient for file in files)
    assert first == third
    assert len({first, second, other}) == 3


@pytest.mark.parametrize(
    ("elements", "field", "value"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, "laterality", "R"),
        ({"ImageLaterality": "", "Laterality": "L"}, "laterality", "L"),
        ({"Laterality": "X"}, "laterality", ""),
        ({"ViewPosition": "LL "}, "view_position", "LL"),
        ({"ViewPosition": ""}, "view_position", ""),
        ({"Modality": "MG"}, "modality", "MG"),
        ({"NumberOfFrames": 1}, "frames", 1),
        ({"BitsStored": 7}, "bits_stored", 7),
    ],
)
def test_what_is_not_usable_is_left_empty(tmp_path, elements, field, value):
    header = read_header(write(tmp_path / "x.dcm", GREY, **elements))
    assert getattr(header, field) == value


def test_text_that_is_no_code_is_left_out(tmp_path):
    """Names of people are written into any field."""
    file = write(tmp_path / "x.dcm", GREY, ViewPosition="NOBODY_", Modality="NOBODY_")
    content = file.read_bytes().replace(b"NOBODY_", b"Erika^M")
    file.write_bytes(content)
    header = read_header(file)
    assert (header.view_position, header.modality) == ("", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is not there"),
        (b"", "is empty"),
        (b"no image\n" * 99, "has no DICM preamble"),
        (b"\0" * 128 + b"DICM", "has no pixels"),
        ("rows of no kind", "cannot be read as DICOM ("),
    ],
)
def test_a_file_without_a_header_says_why(tmp_path, content, reason):
    if isinstance(content, str):
        whole = write(tmp_path / "x.dcm", GREY).read_bytes()
        content = whole.replace(b"\x28\0\x10\0US", b"\x28\0\x10\0ZZ")
    if content is not None:
        (tmp_path / "x.dcm").write_bytes(content)
    with pytest.raises(BadImage) as caught:
        read_header(tmp_path / "x.dcm")
    assert caught.value.reason.startswith(reason)


def everything_said(file: Path) -> str:
    """All text that reading a file returns or raises."""
    said = []
    for read in (read_header, read_dicom):
        try:
            found = read(file)
        except BadImage as bad:
            said.append(bad.reason)
        else:
            said += [repr(found), repr(asdict(found))] if isinstance(found, Header) else []
    return "\n".join(said)


def broken(folder: Path) -> list[Path]:
    """A file full of identity in every field, whole and damaged in ways that errors repeat."""
    odd = {
        "whole": {},
        "frames": {"NumberOfFrames": 77},
        "no view": {"ViewPosition": "PA"},
        "space": {"PhotometricInterpretation": "MONOCHROME9"},
        "shape": {"PresentationLUTShape": "INVERSE"},
        "function": {"WindowCenter": 1, "WindowWidth": 5, "VOILUTFunction": "CUBIC"},
        "table": {"VOILUTSequence": [table(np.frombuffer(b"Erika^Mustermann", "<u2").tolist())]},
        "window": {"WindowCenter": "11111111", "WindowWidth": "22"},
    }
    files = [write(folder / f"{at}.dcm", GREY, **IDENTITY, **more) for at, more in odd.items()]
    swaps = {
        "frames": (b"77", b"Er"),
        "window": (b"11111111", b"Erika^Mu"),
        "table": (b"\x28\0\x06\x30US", b"\x28\0\x06\x30LO"),
        "space": (b"MONOCHROME9", b"Mustermann^"),
        "shape": (b"INVERSE ", b"Erika^Mu"),
        "function": (b"CUBIC ", b"Erika^"),
        "no view": (b"PA", b"Er"),
    }
    for name, (one, other) in swaps.items():
        file = folder / f"{name}.dcm"
        content = file.read_bytes()
        assert one in content
        file.write_bytes(content.replace(one, other))
    made = files[0].read_bytes()
    for at in range(140, len(made), 7):
        files.append(folder / f"cut {at}.dcm")
        files[-1].write_bytes(made[:at])
    return files


def test_no_identity_is_returned_said_or_printed(tmp_path, capfd, caplog, recwarn):
    for file in broken(tmp_path):
        said = everything_said(file).casefold()
        assert said
        for value in IDENTITY.values():
            assert value.casefold() not in said, file
        assert "erika" not in said
        assert "muster" not in said
    printed = capfd.readouterr()
    assert (printed.out, printed.err, caplog.text, recwarn.list) == ("", "", "", [])


KEYWORDS = (
    *(keyword for keyword in IDENTITY if keyword != "OtherPatientIDs"),
    "SOPInstanceUID",
    "StudyID",
    "StudyDescription",
    "StationName",
    "OperatorsName",
)


def test_no_identity_of_pydicoms_own_files_gets_out():
    """Names, numbers, dates and texts of at least four letters, in all that is returned or said."""
    looked_for = 0
    for file in sorted(DATA.rglob("*")):
        if not file.is_file() or file.suffix in (".py", ".pyc", ".json"):
            continue
        said = everything_said(file).casefold()
        with warnings.catch_warnings(action="ignore"):
            dataset = pydicom.dcmread(file, force=True)
            found = {str(dataset.get(keyword) or "").strip() for keyword in KEYWORDS}
        for value in found:
            if len(value) >= 4:
                looked_for += 1
                assert value.casefold() not in said, file
    assert looked_for > 500
