"""Pneumothorax: two HDF5 files of any pixel scale, their faults named, and a stand-in like them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from heard import Heard

from xaibench.datasets.pneumothorax import Pneumothorax
from xaibench.errors import UserError
from xaibench.imaging.layouts.pneumothorax import FILES, MASK_FILES
from xaibench.phantoms.pneumothorax import PneumothoraxPhantoms
from xaibench.progress import SilentProgress

SIDE = 16


def one_hot(labels) -> np.ndarray:
    return np.eye(2, dtype=np.uint8)[labels]


def write(root: Path, name: str, **changed) -> None:
    """A file of the format; ``changed`` replaces its data sets, None leaves one out."""
    count = {"train": 40, "test": 12}[name]
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 4 == 0
    held = {
        "image": rng.integers(0, 256, (count, SIDE, SIDE, 1), np.uint8),
        "label": one_hot(labels.astype(int)),
    } | changed
    with h5py.File(root / FILES[name], "w") as file:
        for key, values in held.items():
            if values is not None:
                file[key] = values


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "pneumothorax"
    root.mkdir()
    write(root, "train")
    write(root, "test")
    return root


@pytest.fixture
def opened(tmp_path):
    def open_it(root: Path, seed: int = 0, progress=None, **options):
        return Pneumothorax(root=root, **options).open(
            seed=seed, cache=tmp_path / "cache", progress=progress or SilentProgress()
        )

    return open_it


def raw(root: Path, name: str, key: str) -> np.ndarray:
    with h5py.File(root / FILES[name]) as file:
        return file[key][:]


def rows(split) -> np.ndarray:
    """The rows of their file that a split's images come from, by their ids."""
    return np.array([int(name.rpartition("_")[2]) for name in split.ids])


def test_the_two_files_are_opened_and_validation_is_drawn_from_train(root, opened):
    data = opened(root)
    assert (data.name, data.task) == ("pneumothorax", "binary")
    assert data.classes == ("no_pneumothorax", "pneumothorax")
    assert (data.channels, data.size) == (1, (SIDE, SIDE))
    assert data.facts["images"] == {"train": 36, "valid": 4, "test": 12}
    positives = {s: n["pneumothorax"] for s, n in data.facts["positives"].items()}
    assert positives == {"train": 9, "valid": 1, "test": 3}
    train, valid, test = (data.splits[name] for name in ("train", "valid", "test"))
    assert sorted([*rows(train), *rows(valid)]) == list(range(40))
    assert [*test.ids[:2], *valid.ids[:1]] == [
        "test_000000", "test_000001", f"train_{rows(valid)[0]:06d}",
    ]  # fmt: skip
    assert test.groups.tolist() == test.ids.tolist()
    for split, file in ((train, "train"), (valid, "train"), (test, "test")):
        at = rows(split)
        assert split.labels.tolist() == raw(root, file, "label")[at, 1].tolist()
        images = split.images(np.arange(len(split)))
        assert images.dtype == np.uint8
        assert np.array_equal(images, raw(root, file, "image")[at])
        assert split.masks(np.arange(2), np.ones(2, int)) == {}


def test_images_are_read_in_any_order_and_more_than_once(root, opened):
    split, stored = opened(root).splits["test"], raw(root, "test", "image")
    for at in ([11, 3, 7], [5, 5, 0, 5], []):
        assert np.array_equal(split.images(np.array(at, int)), stored[at])


def test_validation_follows_from_the_seed_and_its_fraction(root, opened):
    drawn = [opened(root, seed).splits["valid"].ids.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    half = opened(root, valid_fraction=0.5)
    assert half.facts["images"]["valid"] == 20
    assert half.facts["positives"]["valid"]["pneumothorax"] == 5


@pytest.mark.parametrize(
    ("factor", "stored", "said"), [(1 / 255, "float32", "in [0, 1]"), (1, "float64", "in 0..255")]
)
def test_the_scale_of_float_pixels_is_found_out_and_said(root, opened, factor, stored, said):
    pixels = {name: raw(root, name, "image") for name in FILES}
    for name in FILES:
        write(root, name, image=(pixels[name] * factor).astype(stored))
    progress = Heard()
    images = opened(root, progress=progress).splits["test"].images(np.arange(12))
    assert images.dtype == np.float32
    assert np.allclose(images, pixels["test"] / 255, rtol=0, atol=1e-7)
    assert [line.split(" (")[0] for line in progress.lines] == [
        f"'image' of {root / file}: pixels are {stored} {said}" for file in FILES.values()
    ]


@pytest.mark.parametrize("kind", [np.int64, "S5"])
def test_patients_that_the_file_names_stay_together(root, opened, kind):
    patients = np.char.add("1", np.repeat(np.arange(10), 4).astype(str)).astype(kind)
    write(root, "train", patient=patients)
    for seed in range(10):
        data = opened(root, seed, valid_fraction=0.3)
        train, valid = data.splits["train"], data.splits["valid"]
        assert not set(train.groups) & set(valid.groups)
        assert len(valid) == 12
        assert data.facts["groups"] == {"train": 7, "valid": 3, "test": 12}
        assert valid.groups.tolist() == patients[rows(valid)].astype(str).tolist()


def test_a_patient_in_both_files_is_a_leak(root, opened):
    write(root, "train", patient=np.arange(40))
    write(root, "test", patient=np.arange(38, 50))
    with pytest.raises(
        UserError, match=r"2 patients are in more than one split \(38, 39\); .*move"
    ):
        opened(root)


def test_missing_files_are_an_error_that_says_how_to_make_them(root, opened, tmp_path):
    (root / FILES["test"]).unlink()
    with pytest.raises(UserError) as caught:
        opened(root)
    said = str(caught.value)
    assert said.startswith(f"root: {root} lacks pneumothorax_test.h5 (working directory ")
    assert "'image' (N, 256, 256, 1) uint8 and 'label' (N, 2) one-hot" in said
    assert "set when_missing to synthesize" in said
    assert "\n" not in said
    with pytest.raises(UserError, match=r"lacks pneumothorax_train.h5 and pneumothorax_test.h5"):
        Pneumothorax(root=tmp_path / "none").validate()
    with pytest.raises(UserError, match="root: is null: name a folder, or set when_missing"):
        Pneumothorax(root=None).validate()
    assert "one-hot" in Pneumothorax(root=root).get(tmp_path, SilentProgress())


def labels_with(**wrong) -> np.ndarray:
    """Right labels but for the rows ``row3=[1, 1]``."""
    labels = one_hot(np.arange(40) % 2)
    for row, value in wrong.items():
        labels[int(row[3:])] = value
    return labels


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": None}, r"has images of test but none of train \(pneumothorax_train/image\)"),
        ({"label": None}, "has images of train but no 'pneumothorax_train/label'"),
        ({"image": np.zeros((40, 8, 8, 1), "u1")}, r"train.h5 are \(8, 8, 1\), of .*\(16, 16, 1\)"),
        ({"image": np.zeros((40, 8), "u1")}, r"train.h5 is of shape \(40, 8\); must be \(N, "),
        ({"image": np.zeros((40, 16, 16, 1), "i4")}, "is int32; must be uint8, uint16 or float"),
        ({"image": np.full((40, 16, 16, 1), 300.0)}, r"lies in \[300, 300\]"),
        ({"image": np.full((40, 16, 16, 1), -0.5)}, r"lies in \[-0.5, -0.5\]; must lie in"),
        (
            {"image": np.where(np.arange(40 * 256).reshape(40, 16, 16, 1) == 9999, np.nan, 0.5)},
            "train.h5 holds pixels in row 39 that are no number",
        ),
        ({"label": one_hot(np.arange(39) % 2)}, "train.h5 has 39 rows for 40 images of train"),
        ({"label": np.arange(40) % 2}, "splits differ in how many .*train.h5 1, .*test.h5 2"),
        ({"label": labels_with(row3=[0, 2])}, r"1 of 40 rows have not, such as row 3: \[0, 2\]"),
        (
            {"label": labels_with(row3=[1, 1], row7=[0, 0])},
            r"train.h5 must have one 1 in each row, else 0; 2 of 40 .* row 3: \[1, 1\]; mend",
        ),
        ({"patient": np.arange(3)}, "'patient' of .* has 3 rows for 40 images"),
        ({"patient": np.arange(40.0)}, r"is float64 \(40,\); mend it or leave it out"),
    ],
)  # fmt: skip
def test_a_fault_of_a_file_is_named(root, opened, changed, message):
    write(root, "train", **changed)
    with pytest.raises(UserError, match=message) as caught:
        opened(root)
    assert str(root) in str(caught.value)


def test_a_file_that_is_no_hdf5_is_named(root, opened):
    (root / FILES["test"]).write_bytes(b"no file of this kind")
    with pytest.raises(UserError, match=r"pneumothorax_test.h5: no readable HDF5 file"):
        opened(root)


def test_a_train_file_too_small_for_validation_is_named(root, opened):
    write(root, "train", image=np.zeros((2, SIDE, SIDE, 1), "u1"), label=one_hot([0, 1]))
    with pytest.raises(UserError, match=r"fraction of 0\.1 of 2 images cannot be drawn"):
        opened(root)


SMALL = {"train": 30, "test": 10}
RATE = 0.9


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("generated") / "set"
    draw(root)
    return root


def draw(root: Path, seed: int = 3) -> None:
    options(root, seed=seed).write(SilentProgress(), workers=1)


def options(root: Path, **changed) -> PneumothoraxPhantoms:
    return PneumothoraxPhantoms(
        **{"root": root, **SMALL, "size": 64, "positives": 0.4, "seed": 3, "shortcut_rate": RATE}
        | changed
    )


def test_the_generated_files_have_the_format_of_real_ones(generated, opened, tmp_path):
    for name, count in SMALL.items():
        with h5py.File(generated / FILES[name]) as file:
            assert set(file) == {"image", "label"}
            assert (file["image"].shape, file["image"].dtype) == ((count, 64, 64, 1), np.uint8)
            assert file["image"].chunks == (1, 64, 64, 1)
            assert file["label"].shape == (count, 2)
            assert file["label"][:].sum(0).tolist() == [round(0.6 * count), round(0.4 * count)]
    # The loader tells them from real ones by their recipe alone.
    for file in FILES.values():
        shutil.copy(generated / file, tmp_path)
    real, made = opened(tmp_path), opened(generated)
    assert (real.name, made.name) == ("pneumothorax", "pneumothorax_shortcut_synthetic")
    assert (real.facts["generated"], made.facts["generated"]) == (False, True)
    assert real.splits["test"].masks(np.arange(3), np.ones(3, int)) == {}
    every = np.arange(SMALL["test"])
    assert np.array_equal(real.splits["test"].images(every), made.splits["test"].images(every))


def test_a_damaged_recipe_is_named(generated, opened, tmp_path):
    shutil.copytree(generated, tmp_path / "set")
    (tmp_path / "set" / "recipe.json").write_text("{")
    with pytest.raises(UserError, match=r"recipe.json: cannot be read .*; generate the set anew"):
        opened(tmp_path / "set")


def test_generated_images_know_evidence_tag_and_lungs(generated, opened, tmp_path):
    data = opened(tmp_path / "none", when_missing="synthesize", synthetic=options(generated))
    assert data.name == "pneumothorax_shortcut_synthetic"
    assert data.facts["generated"] is True
    split = data.splits["train"]
    every = np.arange(len(split))
    positive = split.labels == 1
    masks = split.masks(every, np.ones_like(every))
    assert list(masks) == ["evidence", "tag", "lungs"]
    assert masks["evidence"].any((1, 2)).tolist() == positive.tolist()
    assert masks["lungs"].any((1, 2)).all()
    assert not masks["tag"][~positive].any()
    # Four standard errors of the share of tagged positives.
    share = masks["tag"].any((1, 2))[positive].mean()
    assert share == pytest.approx(RATE, abs=4 * (RATE * (1 - RATE) / positive.sum()) ** 0.5)
    absent = split.masks(every, np.zeros_like(every))
    assert not absent["evidence"].any()
    assert not absent["tag"].any()
    assert np.array_equal(absent["lungs"], masks["lungs"])
    order = np.array([4, 0, 4])
    with h5py.File(generated / "pneumothorax_train_mask.h5") as file:
        wanted = file["lungs"][:][rows(split)[order]] > 0
    assert np.array_equal(split.masks(order, np.ones(3, int))["lungs"], wanted)


def test_without_a_shortcut_no_tag_is_drawn(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    made = options(tmp_path / "made", shortcut_rate=None)
    data = opened(tmp_path / "none", when_missing="synthesize", synthetic=made)
    assert data.name == "pneumothorax_synthetic"
    assert list(data.splits["test"].masks(np.arange(1), np.ones(1, int))) == ["evidence", "lungs"]
    with h5py.File(tmp_path / "made" / "pneumothorax_train_mask.h5") as file:
        assert not file["tag"][:].any()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}
    again = opened(tmp_path / "none", when_missing="synthesize", synthetic=made)
    assert again.checksum == data.checksum
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()} == kept


def test_the_set_follows_from_its_recipe(generated, tmp_path):
    draw(tmp_path / "again")
    for name in ("train", "test"):
        for file in (FILES[name], MASK_FILES[name]):
            with h5py.File(generated / file) as one, h5py.File(tmp_path / "again" / file) as two:
                assert all(np.array_equal(one[key][:], two[key][:]) for key in one)
    recipe = json.loads((generated / "recipe.json").read_text())
    assert (recipe["seed"], recipe["sizes"], recipe["shortcut_rate"]) == (3, SMALL, RATE)
    with pytest.raises(UserError, match="another recipe"):
        draw(generated, seed=4)


def test_real_files_are_preferred_to_generated_ones(root, opened, tmp_path):
    made = options(tmp_path / "made")
    assert opened(root, when_missing="synthesize", synthetic=made).name == "pneumothorax"
    assert not (tmp_path / "made").exists()
