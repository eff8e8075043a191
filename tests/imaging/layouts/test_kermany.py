"""Patients by the names of their files."""

from __future__ import annotations

import pytest

from xaibench.imaging.image_files import find_images
from xaibench.imaging.layouts.kermany import patient_of_kermany


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person123_bacteria_45.jpeg", "person123"),
        ("person123_virus_45_1.jpeg", "person123"),
        ("PERSON7_bacteria_1.JPEG", "person7"),
        ("IM-0115-0001.jpeg", "im-0115"),
        ("IM-0115-0001-0002.jpeg", "im-0115"),
        ("NORMAL2-IM-0666-0001.jpeg", "normal2-im-0666"),
        ("NORMAL2-IM-0666-0001-0003.jpeg", "normal2-im-0666"),
        ("train/NORMAL/IM-0115-0001.jpeg", "im-0115"),
        ("IM-0115.jpeg", "im-0115"),
        ("BACTERIA-1008087-0001.jpeg", "1008087"),
        ("virus-1008087-0002.jpeg", "1008087"),
        ("test/NORMAL/NORMAL-4512-0001.jpeg", "4512"),
        ("scan 12.png", "scan 12"),
        ("person.png", "person"),
    ],
)
def test_the_patient_is_in_the_name(name, patient):
    assert patient_of_kermany(name) == patient


@pytest.mark.real
def test_every_real_name_is_understood(real_data):
    files = find_images(real_data / "chest_xray_pneumonia")
    labels: dict[str, set[str]] = {}
    for file in files:
        labels.setdefault(patient_of_kermany(file.name), set()).add(file.parent.name)
    assert (len(files), len(labels)) == (5554, 2935)
    assert all(len(own) == 1 for own in labels.values())
    assert all(patient.startswith(("person", "im-", "normal2-im-")) for patient in labels)
