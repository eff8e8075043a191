"""DICOM files as a data set: patients of the header, and no identity in what is written."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from heard import Heard
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from xaibench import cli
from xaibench.datasets.image_folder import ImageFolder
from xaibench.errors import UserError
from xaibench.imaging.dicom import read_dicom
from xaibench.imaging.inspection.stages import draw_stages
from xaibench.imaging.inspection.survey import file_table
from xaibench.imaging.preprocess import ResizeOptions
from xaibench.phantoms.own_pictures import SIDE, drawn
from xaibench.progress import SilentProgress

NAMES = ("Okonkwo", "Sigurdsson", "Quispe", "Tanaka")
BIRTHS = ("19410207", "19770830", "20031119", "19620314")
PATIENTS = 8  # of each class


def write(file: Path, label: int, patient: int, number: int) -> None:
    image, _ = drawn(label, seed=[label, patient, number])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(file)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    header.PatientName = f"{NAMES[patient % 4]}^Subject {patient}"
    header.PatientID = f"MRN-{label}{patient:05}"
    header.PatientBirthDate = BIRTHS[patient % 4]
    header.StudyDate = "20240517"
    header.AccessionNumber = "ACC778812"
    header.InstitutionName = "St. Elsewhere"
    header.ReferringPhysicianName = "Lindqvist^Karin"
    header.Modality, header.ViewPosition = "DX", "PA"
    header.SOPClassUID = meta.MediaStorageSOPClassUID
    header.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    header.Rows = header.Columns = SIDE
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation = 0
    header.WindowCenter, header.WindowWidth = 2048, 4096
    grey = image.mean(-1).astype(np.uint16) * 16
    header.PixelData = grey.tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(file, enforce_file_format=True)


SECRETS = (*NAMES, *BIRTHS, "MRN-", "20240517", "ACC778812", "Elsewhere", "Lindqvist")


@pytest.fixture
def root(tmp_path) -> Path:
    for label, name in enumerate(("normal", "square")):
        for patient in range(PATIENTS):
            for number in range(2):
                ending = "" if number else ".dcm"  # one of them as archives name files
                write(
                    tmp_path / "scans" / name / f"{patient}{number}{ending}", label, patient, number
                )
    return tmp_path / "scans"


def test_a_header_without_a_patient_is_said_and_the_others_count(root, tmp_path):
    for file in (root / "normal" / "00.dcm", root / "square" / "01"):
        header = pydicom.dcmread(file)
        del header.PatientID, header.PatientName
        header.save_as(file)
    heard = Heard()
    dataset = ImageFolder(root=root, channels=1, resize=ResizeOptions(SIDE))
    data = dataset.open(seed=0, cache=tmp_path / "cache", progress=heard)
    (said,) = [line for line in heard.lines if line.startswith("patients: not known")]
    assert "each of 2 of 32 images counts as a patient of its own" in said
    groups = [group for split in data.splits.values() for group in split.groups]
    assert len(groups) == 32
    assert len(set(groups)) == 2 * PATIENTS + 2
    assert {"normal/00.dcm", "square/01"} < set(groups)


def test_the_header_tells_patients_and_the_picture_is_the_standards(root, tmp_path):
    dataset = ImageFolder(root=root, channels=1, resize=ResizeOptions(SIDE))
    data = dataset.open(seed=0, cache=tmp_path / "cache", progress=SilentProgress())
    groups: dict[str, set[str]] = {}
    for split in data.splits.values():
        for name, group in zip(split.ids, split.groups, strict=True):
            groups.setdefault(group, set()).add(name)
    assert len(groups) == 2 * PATIENTS
    for own in groups.values():  # both images of each patient, and no other's
        assert len(own) == 2
        assert len({name.removesuffix(".dcm")[:-1] for name in own}) == 1
    split = data.splits["train"]
    images = split.images(np.arange(len(split)))[..., 0]
    for name, found in zip(split.ids, images, strict=True):
        label, _, rest = name.partition("/")
        stem = rest.removesuffix(".dcm")
        seed = [int(label == "square"), int(stem[0]), int(stem[1])]
        image, _ = drawn(seed[0], seed)
        stored = image.mean(-1).astype(np.uint16) * 16.0
        # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5) of the output range
        wanted = np.clip(((stored - 2047.5) / 4095 + 0.5) * 255, 0, 255)
        assert np.abs(found - wanted).max() <= 0.51


def test_no_identity_is_written_anywhere(root, tmp_path, monkeypatch, capfd):
    config = tmp_path / "own.yaml"
    config.write_text(
        "name: scans\n"
        f"dataset: {{use: image_folder, root: {root}, channels: 1, resize: {{size: 32}}}}\n"
        "model: {use: gap_cnn, width: 8}\n"
        "training: {epochs: 1, batch_size: 8}\n"
        "images: {count: 4}\n"
        "explainers: {random: , grad_cam: }\n"
        "metrics: {deletion: {steps: 4}}\n"
    )
    out = tmp_path / "results"
    for words in (
        ["run", str(config), "--out", str(out)],
        ["data", "stats", "image_folder", "--root", str(root), "--out", str(out / "stats")],
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["xaibench", *words])
        with contextlib.suppress(SystemExit):
            cli.main()
    said = "".join(capfd.readouterr())
    files = [file for file in out.rglob("*") if file.is_file()]
    assert len(files) > 20
    assert any(file.name == "leaderboard.md" for file in files)
    assert any((out / "stats").iterdir())
    for secret in SECRETS:
        assert secret not in said
        known = [f for f in files if secret.encode() in f.read_bytes() or secret in f.name]
        assert known == []


TESTS = Path(pydicom.__file__).parent / "data" / "test_files"


def bundled(folder: Path, name: str, copies: int = 6) -> Path:
    """A root of two classes, each of copies of a file that pydicom brings along."""
    for label in ("a", "b"):
        for copy in range(copies):
            file = folder / "bundled" / label / f"{label}{copy}_{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TESTS / name, file)
    return folder / "bundled"


def opened(root: Path, **settings):
    settings = {"resize": ResizeOptions(16), "channels": 1, "patient": r"[ab]\d", **settings}
    dataset = ImageFolder(root=root, **settings)
    return dataset.open(seed=0, cache=root.parent / "cache", progress=SilentProgress())


def test_a_file_without_a_window_spans_what_the_config_says(tmp_path):
    root = bundled(tmp_path, "CT_small.dcm")
    with pytest.raises(UserError, match=r"spans 9 of 256 greys .* unwindowed: present spans the"):
        opened(root)
    data = opened(root, unwindowed="present", resize=None)
    whole = read_dicom(TESTS / "CT_small.dcm", unwindowed="present")[0]
    images = data.splits["train"].images(np.array([0, 1]))[..., 0]
    assert np.array_equal(images, np.stack([whole, whole]))
    assert (data.facts["unwindowed"], data.facts["frames"]) == ("present", "error")


@pytest.mark.parametrize(("frames", "number"), [("first", 0), ("middle", 1)])
def test_one_frame_of_several_is_taken(tmp_path, frames, number):
    root = bundled(tmp_path, "SC_rgb_rle_2frame.dcm")
    with pytest.raises(UserError, match="holds 2 pictures; save the one that is meant, or set"):
        opened(root)
    data = opened(root, frames=frames, channels=3, resize=None)
    shown = data.splits["train"].images(np.array([0]))[0]
    assert np.array_equal(shown, read_dicom(TESTS / "SC_rgb_rle_2frame.dcm")[number])


def test_all_frames_are_images_of_their_files_patient(tmp_path):
    root = bundled(tmp_path, "SC_rgb_rle_2frame.dcm")
    data = opened(root, frames="all", channels=3, resize=None, manifests=tmp_path / "m")
    frames = read_dicom(TESTS / "SC_rgb_rle_2frame.dcm")
    assert not np.array_equal(*frames)
    groups: dict[str, set[str]] = {}
    for split in data.splits.values():
        images = split.images(np.arange(len(split)))
        for name, group, image in zip(split.ids, split.groups, images, strict=True):
            path, _, number = name.partition("#")
            assert (root / path).is_file()
            assert np.array_equal(image, frames[int(number) - 1])
            assert group == path[2:4]
            groups.setdefault(group, set()).add(name)
    assert {len(own) for own in groups.values()} == {2}
    assert len(groups) == 12
    again = opened(root, frames="all", channels=3, resize=None, manifests=tmp_path / "m")
    assert again.checksum == data.checksum
    (stage, *_) = draw_stages(data, file_table(data), 2, seed=0)
    assert np.array_equal(stage.cached, stage.prepared.image)
