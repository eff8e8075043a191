"""Files of arrays as people have them: which array is what."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xaibench.errors import UserError
from xaibench.imaging.recognition.recognise import recognise

CLASSES = np.arange(12)[:, None] % 3
SEVERAL = np.tile([[1, 0, 0], [1, 1, 0]], (6, 1))


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (12, *shape)).astype(np.uint8)


def medmnist(shape, labels) -> dict[str, np.ndarray]:
    parts = ("train", "val", "test")
    return {f"{s}_images": images(*shape) for s in parts} | {f"{s}_labels": labels for s in parts}


def said(lines) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("shape", "labels", "more", "took"),
    [
        ((28, 28), CLASSES % 2, {}, "classes: 0, 1 in train_labels, val_labels, test_labels"),
        ((28, 28, 3), CLASSES, {}, "classes: 0, 1, 2 in"),
        ((64, 64), SEVERAL, {}, "labels: 3 of 0 and 1 in"),
        ((28, 28), np.eye(3)[CLASSES[:, 0]], {"one_hot": True}, "classes: 3, one-hot"),
        ((28, 28), CLASSES + 0.5, {"regression": True}, "numbers: train_labels"),
    ],
)
def test_the_files_of_medmnist(tmp_path, shape, labels, more, took):
    file = tmp_path / "my.npz"
    np.savez(file, **medmnist(shape, labels))
    guess = recognise(file)
    assert guess.settings == {"use": "arrays", "file": file.as_posix(), **more}
    assert took in said(guess.took)
    assert "images: train_images, val_images, test_images, " in said(guess.took)
    assert "nobody says which patient" in said(guess.unsure)


@pytest.mark.parametrize("shape", [(28, 28, 28), (3, 28, 28, 28), (28, 28, 28, 1, 1)])
def test_volumes_are_refused(tmp_path, shape):
    np.savez(tmp_path / "my.npz", **medmnist(shape, CLASSES))
    with pytest.raises(UserError, match="as of volumes; save slices of them"):
        recognise(tmp_path / "my.npz")


def test_hdf5_with_other_names_patients_and_masks(tmp_path):
    with h5py.File(tmp_path / "my.h5", "w") as file:
        file["x"], file["y"] = images(3, 16, 16), CLASSES[:, 0]
        file["patient_id"], file["mask"] = np.arange(12) // 2, images(16, 16)
    guess = recognise(tmp_path / "my.h5")
    assert {k: v for k, v in guess.settings.items() if k not in ("use", "file")} == {
        "images": "x",
        "labels": "y",
        "groups": "patient_id",
        "masks": "mask",
    }
    assert guess.masked


def test_a_folder_of_npy_files(tmp_path):
    np.save(tmp_path / "images.npy", images(16, 16))
    np.save(tmp_path / "labels.npy", CLASSES)
    guess = recognise(tmp_path)
    assert guess.settings == {"use": "arrays", "file": tmp_path.as_posix()}


def test_of_several_arrays_that_may_be_labels_the_others_are_named(tmp_path):
    arrays = {"images": images(16, 16), "y": CLASSES, "target": CLASSES}
    np.savez(tmp_path / "my.npz", **arrays)
    guess = recognise(tmp_path / "my.npz")
    assert guess.settings["labels"] == "y"
    assert "labels: might be target as well" in said(guess.unsure)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"a": np.arange(4)}, r"holds no images; has a \(4,\)"),
        ({"images": images(8, 8)}, "has no array of labels beside its images"),
        ({"images": images(8, 8), "labels": np.arange(5)}, "has no array of labels"),
        ({"images": np.array([{}], object)}, "holds Python objects"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, arrays, why):
    np.savez(tmp_path / "my.npz", **arrays)
    with pytest.raises(UserError, match=why):
        recognise(tmp_path / "my.npz")


def test_a_folder_with_a_file_of_arrays_names_it(tmp_path):
    np.savez(tmp_path / "my.npz", a=1)
    with pytest.raises(UserError, match=r"name the file of arrays itself: my\.npz"):
        recognise(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UserError, match=r"broken.npz is neither NPZ nor HDF5"):
        recognise(tmp_path / "broken.npz")
