"""One's own images in arrays: files, names, layouts, labels, splits."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from xaibench.datasets.arrays import Arrays
from xaibench.errors import UserError
from xaibench.progress import SilentProgress

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 9, 11, 3), dtype=np.uint8)
LABELS = np.arange(40) % 2


def opened(file: Path, **settings):
    cache = file.parent / "cache"
    return Arrays(file=file, **settings).open(seed=0, cache=cache, progress=SilentProgress())


def save(folder: Path, kind: str, arrays: dict[str, np.ndarray]) -> Path:
    if kind == "npz":
        np.savez(folder / "own.npz", **arrays)
        return folder / "own.npz"
    if kind == "npy":
        (folder / "own").mkdir()
        for name, array in arrays.items():
            np.save(folder / "own" / f"{name}.npy", array)
        return folder / "own"
    with h5py.File(folder / "own.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array.astype("S") if array.dtype.kind == "U" else array
    return folder / "own.h5"


def rows_of(data) -> dict[int, tuple]:
    """Return the row of the file -> image, group, label."""
    found = {}
    for split in data.splits.values():
        images = split.images(np.arange(len(split)))
        for name, image, group, label in zip(
            split.ids, images, split.groups, split.labels, strict=True
        ):
            found[int(name.rpartition("_")[2])] = image, group, label
    return found


@pytest.mark.parametrize("kind", ["npz", "npy", "h5"])
def test_one_array_is_dealt_out_by_group(tmp_path, kind):
    groups = np.array([f"p{at // 4}" for at in range(40)])
    file = save(tmp_path, kind, {"images": IMAGES, "labels": LABELS, "groups": groups})
    data = opened(file, groups="groups", classes=("no", "yes"))
    assert (data.name, data.task, data.classes) == ("own", "binary", ("no", "yes"))
    assert (data.channels, data.size) == (3, (9, 11))
    found = rows_of(data)
    assert sorted(found) == list(range(40))
    for row, (image, group, label) in found.items():
        assert np.array_equal(image, IMAGES[row])
        assert (group, label) == (groups[row], LABELS[row])
    assert data.facts["groups_in_two_splits"] == 0


@pytest.mark.parametrize("form", ["{}_images", "images_{}", "{}/images"])
@pytest.mark.parametrize("valid", ["val", "valid", None])
def test_splits_are_told_from_the_names(tmp_path, form, valid):
    parts = {"train": slice(0, 20), valid: slice(20, 30), "test": slice(30, 40)}
    arrays = {}
    for split, rows in parts.items():
        if split:
            name = form.format(split)
            arrays[name] = IMAGES[rows]
            arrays[name.replace("images", "labels")] = LABELS[rows][:, None]  # as MedMNIST has it
    data = opened(save(tmp_path, "h5" if "/" in form else "npz", arrays))
    assert np.array_equal(data.splits["test"].images(np.arange(10)), IMAGES[30:])
    sizes = {split: len(s) for split, s in data.splits.items()}
    if valid:
        assert sizes == {"train": 20, "valid": 10, "test": 10}
    else:
        assert sizes["train"] + sizes["valid"] == 20
        assert sizes["valid"] >= 2
    assert data.task == "binary"


LAYOUTS = {
    "grey": (IMAGES[..., 0], IMAGES[..., :1]),
    "one channel behind": (IMAGES[..., :1], IMAGES[..., :1]),
    "channels before": (np.moveaxis(IMAGES, -1, 1), IMAGES),
    "float to 1": (IMAGES / np.float32(255), IMAGES),
    "float to 255": (IMAGES.astype(np.float64), IMAGES),
    "16 bits": (IMAGES.astype(np.uint16) * 257, IMAGES),
}


@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_type_is_the_same_images(tmp_path, layout, kind):
    stored, wanted = LAYOUTS[layout]
    data = opened(save(tmp_path, kind, {"images": stored, "labels": LABELS}))
    assert (data.channels, data.size) == (wanted.shape[-1], (9, 11))
    for row, (image, _, _) in rows_of(data).items():
        values = image / 255 if image.dtype == np.uint8 else image
        assert values.dtype in (np.float32, np.float64)
        np.testing.assert_allclose(values, wanted[row] / 255, atol=1e-6)


def test_twelve_bits_in_sixteen_are_told(tmp_path):
    wide = (IMAGES[..., 0].astype(np.uint16) * 16)[:, None]
    wide[0, 0, 0, 0] = 4095
    file = save(tmp_path, "npz", {"images": wide, "labels": LABELS})
    assert rows_of(opened(file))[0][0].max() == 1
    assert rows_of(opened(file, bits=16))[0][0].max() == pytest.approx(4095 / 65535)


def test_several_labels_and_numbers(tmp_path):
    several = np.stack([LABELS, 1 - LABELS], 1).astype(float)
    several[3, 1] = np.nan
    file = save(tmp_path, "npz", {"images": IMAGES, "labels": several})
    data = opened(file)
    assert (data.task, data.classes) == ("multilabel", ("label_0", "label_1"))
    np.testing.assert_array_equal(rows_of(data)[3][2], np.float32([1, np.nan]))
    assert opened(file, regression=True).task == "regression"
    ages = save(tmp_path, "npz", {"images": IMAGES, "labels": np.linspace(1, 90, 40)})
    data = opened(ages, regression=True, classes=("age",))
    assert rows_of(data)[39][2].tolist() == [90]


def test_one_hot_labels_are_classes(tmp_path):
    three = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
    file = save(tmp_path, "npz", {"images": IMAGES, "labels": three})
    data = opened(file, one_hot=True, classes=("a", "b", "c"))
    assert (data.task, data.classes) == ("multiclass", ("a", "b", "c"))
    assert [rows_of(data)[row][2] for row in range(40)] == [row % 3 for row in range(40)]
    assert opened(file).task == "multilabel"


@pytest.mark.parametrize("kind", ["h5", "npz"])
def test_a_folder_of_several_files_is_read_by_a_pattern(tmp_path, kind):
    """As PatchCamelyon is had: images and labels of each split in a file of their own."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rows = {"train": slice(0, 24), "valid": slice(24, 32), "test": slice(32, 40)}
    for split, part in rows.items():
        held = {"x": IMAGES[part]}, {"y": LABELS[part][:, None, None, None]}
        for arrays in held:
            (name,) = arrays
            save(folder, kind, arrays).rename(folder / f"scan_{split}_{name}.{kind}")
    (folder / "read me.txt").write_text("no array")
    data = opened(folder, images="scan_{split}_x/x", labels="scan_{split}_y/y")
    assert (data.name, data.task) == ("scans", "binary")
    for split, part in rows.items():
        own = data.splits[split]
        assert np.array_equal(own.images(np.arange(len(own))), IMAGES[part])
        assert np.array_equal(own.labels, LABELS[part])
    with pytest.raises(UserError, match=r"has images of train but no 'scan_train_y/z'; .*mean"):
        opened(folder, images="scan_{split}_x/x", labels="scan_{split}_y/z")


def test_masks_speak_for_their_own_label(tmp_path):
    masks = np.zeros((40, 9, 11), np.uint8)
    masks[:, 2:4, 3] = 7
    file = save(tmp_path, "npz", {"images": IMAGES, "labels": LABELS, "masks": masks})
    split = opened(file, masks="masks").splits["train"]
    at = np.arange(len(split))
    assert (split.masks(at, split.labels)["evidence"].sum((1, 2)) == 2).all()
    assert not split.masks(at, 1 - split.labels)["evidence"].any()
    assert opened(file).splits["train"].masks(at, split.labels) == {}


@pytest.mark.parametrize(
    ("arrays", "settings", "said"),
    [
        (
            {},
            {"images": "pictures"},
            "no array 'pictures', nor train_pictures; allowed: images",
        ),
        ({"labels": None}, {}, "labels: {} has images of all but no 'labels'; allowed: images"),
        ({}, {"groups": "who"}, "groups: {} has images of all but no 'who'"),
        (
            {"labels": LABELS[:30]},
            {},
            "labels: 'labels' of {} has 30 rows for 40 images of all; they must be as many",
        ),
        ({"images": IMAGES[..., 0, 0]}, {}, "is of shape (40, 9); must be (N, height, width)"),
        ({"images": IMAGES[..., [0, 1]]}, {}, "shape (40, 9, 11, 2); must have 1 or 3 channels"),
        ({"images": IMAGES.astype(np.int32)}, {}, "is int32; must be uint8, uint16 or float"),
        ({"images": IMAGES - 300.0}, {}, "must lie in [0, 1] or in 0..255"),
        ({"images": np.where(IMAGES > 200, np.nan, IMAGES)}, {}, "no number"),
        (
            {"labels": LABELS + 0.5},
            {},
            "'labels' of {} row 0 is 0.5; must be a whole number from 0",
        ),
        ({"labels": LABELS - 1}, {}, "'labels' of {} row 0 is -1; must be a whole number from 0"),
        ({"labels": LABELS * 2}, {}, "no image is of class 1 (class_1); classes must be numbered"),
        ({"labels": LABELS * 0}, {}, "no image is of class 1"),
        ({"labels": np.array(["a", "b"] * 20)}, {}, "must be numbers of shape (N,)"),
        ({"labels": np.stack([LABELS] * 2, 1) * 3}, {}, "row 1 column 0 is 3; of several labels"),
        ({}, {"classes": ("a",)}, "row 1 is 1, counted from 0, but classes are only 1: a"),
        (
            {"images": IMAGES.astype(np.uint16) * 9},
            {"bits": 8},
            "bits: are 8, but 'images' of {} has",
        ),
        ({}, {"classes": ("a", "a")}, "classes: are 2 names; 2 different ones are needed"),
        ({}, {"masks": "truth"}, "masks: {} has no array 'truth' of any split"),
        ({}, {"images": "x_{split}"}, "no array 'x_{split}'; allowed: images, labels"),
        ({}, {"one_hot": True}, "must have one 1 in each row, else 0; "),
        ({}, {"one_hot": True, "regression": True}, "one_hot: is of classes, regression of"),
        ({}, {"fractions": (1.0, 0.0, 0.0)}, "fractions: are (1.0, 0.0, 0.0); three above 0"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, arrays, settings, said):
    known = {"images": IMAGES, "labels": LABELS, **arrays}
    file = save(tmp_path, "npz", {k: v for k, v in known.items() if v is not None})
    with pytest.raises(UserError) as caught:
        opened(file, **settings)
    assert said.replace("{}", str(file)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_told(tmp_path):
    for name, content, said in (
        ("a.npz", b"", "is neither NPZ nor HDF5"),
        ("b.npz", b"PK\x03\x04 no zip", "is neither NPZ nor HDF5"),
        ("c.h5", b"<html>", "c.h5: no readable HDF5 file"),
        ("d.hdf", b"<html>", "is neither NPZ nor HDF5"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=said):
            opened(tmp_path / name)
    with pytest.raises(UserError, match=r"nowhere\.npz is not there"):
        opened(tmp_path / "nowhere.npz")
    whole = save(tmp_path, "npz", {"images": IMAGES, "labels": LABELS}).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-200])
    with pytest.raises(UserError, match=r"neither NPZ|cannot be read"):
        opened(tmp_path / "cut.npz")
    hostile = save(tmp_path, "npz", {"images": IMAGES, "labels": np.array([{}] * 40, object)})
    with pytest.raises(UserError, match="holds Python objects, which could run code"):
        opened(hostile)


def test_a_patient_in_two_splits_is_refused(tmp_path):
    arrays = {}
    for split in ("train", "val", "test"):
        arrays |= {f"{split}_images": IMAGES[:4], f"{split}_labels": LABELS[:4]}
        arrays[f"{split}_groups"] = np.array(["a", "b", "c", split])
    with pytest.raises(UserError, match="3 patients are in more than one split"):
        opened(save(tmp_path, "npz", arrays), groups="groups")
