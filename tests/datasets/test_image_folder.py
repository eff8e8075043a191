"""One's own images in folders of classes: splits, classes, patients, masks, colour."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heard import Heard
from PIL import Image

from xaibench.datasets.image_folder import ImageFolder
from xaibench.errors import UserError
from xaibench.imaging.image_files import read_colour, read_grey
from xaibench.imaging.preprocess import CropOptions, ResizeOptions
from xaibench.phantoms.own_pictures import SIDE, draw_folders
from xaibench.progress import SilentProgress


@pytest.fixture
def root(tmp_path) -> Path:
    return draw_folders(tmp_path)


def asked(root: Path, **settings) -> ImageFolder:
    return ImageFolder(root=root, **{"resize": ResizeOptions(SIDE), **settings})


def opened(dataset: ImageFolder, tmp_path: Path, progress=None):
    return dataset.open(seed=0, cache=tmp_path / "cache", progress=progress or SilentProgress())


def everything(data):
    return {i: (g, y) for s in data.splits.values() for i, g, y in zip(s.ids, s.groups, s.labels)}  # noqa: B905


def by_split(root: Path, **parts: list[str]) -> Path:
    """Move images into folders of splits: split -> parts of names."""
    there = root.with_name("split")
    for split, names in parts.items():
        for file in sorted(root.rglob("*.png")):
            if any(file.name.startswith(name) for name in names):
                (there / split / file.parent.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(file, there / split / file.parent.name / file.name)
    return there


def test_folders_are_classes_and_whole_patients_are_dealt_out(root, tmp_path):
    data = opened(asked(root, patient=r"(p\d+)_"), tmp_path)
    assert (data.name, data.task, data.classes) == ("images", "binary", ("normal", "square"))
    assert (data.channels, data.size) == (3, (SIDE, SIDE))
    known = everything(data)
    assert len(known) == 48
    for path, (patient, label) in known.items():
        assert path == f"{data.classes[label]}/{patient}_{path[-5]}.png"
    assert data.facts["groups_in_two_splits"] == 0
    assert data.facts["groups"] == {"train": 17, "valid": 2, "test": 5}


def test_images_are_those_of_the_files_in_colour_or_grey(root, tmp_path):
    for channels, read in ((3, read_colour), (1, read_grey)):
        split = opened(asked(root, channels=channels), tmp_path).splits["test"]
        images = split.images(np.arange(len(split)))
        for name, image in zip(split.ids, images, strict=True):
            assert np.array_equal(image, read(root / name).reshape(SIDE, SIDE, channels))


def test_images_of_a_shape_and_of_their_own_size(root, tmp_path):
    data = opened(asked(root, resize=ResizeOptions((16, 24)), masks=tmp_path / "masks"), tmp_path)
    assert data.size == (16, 24)
    split = data.splits["test"]
    rows = np.arange(len(split))
    images, masks = split.images(rows), split.masks(rows, split.labels)["evidence"]
    assert masks.shape == images.shape[:3] == (len(split), 16, 24)
    for name, image, mask in zip(split.ids, images, masks, strict=True):
        assert np.array_equal(image, read_colour(root / name)[4:20])  # the middle, one to one
        there = tmp_path / "masks" / name
        whole = read_grey(there) > 127 if there.is_file() else np.zeros((SIDE, SIDE), bool)
        assert np.array_equal(mask, whole[4:20])
    own = opened(asked(root, resize=None, masks=tmp_path / "masks"), tmp_path)
    assert own.size == (SIDE, SIDE)
    split = own.splits["test"]
    for name, image in zip(split.ids, split.images(np.arange(len(split))), strict=True):
        assert np.array_equal(image, read_colour(root / name))


def test_where_patients_are_unknown_it_is_said(root, tmp_path):
    heard = Heard()
    data = opened(asked(root), tmp_path, heard)
    assert any("each image counts as a patient of its own" in line for line in heard.lines)
    assert sum(data.facts["groups"].values()) == 48
    heard.lines.clear()
    opened(asked(root, patient=r"p\d+"), tmp_path, heard)
    assert not any("patient of its own" in line for line in heard.lines)


def test_a_table_names_the_patients(root, tmp_path):
    paths = [f.relative_to(root).as_posix() for f in sorted(root.rglob("*.png"))]
    rows = [f"{path};case {at // 4}" for at, path in enumerate(paths)]
    (tmp_path / "who.csv").write_text("\n".join(["path;patient", *rows]) + "\n")
    data = opened(asked(root, groups=tmp_path / "who.csv"), tmp_path)
    assert {g for g, _ in everything(data).values()} == {f"case {at}" for at in range(12)}


@pytest.mark.parametrize("valid", ["val", "valid", "Validation"])
def test_folders_of_splits_are_taken(root, tmp_path, valid):
    parts = {"train": ["p00", "p01", "p12", "p13"], valid: ["p02", "p14"], "test": ["p03", "p15"]}
    data = opened(asked(by_split(root, **parts), patient=r"p\d+"), tmp_path)
    assert {split: sorted(set(s.groups)) for split, s in data.splits.items()} == {
        "train": ["p00", "p01", "p12", "p13"],
        "valid": ["p02", "p14"],
        "test": ["p03", "p15"],
    }


def test_without_a_folder_for_validation_it_is_drawn_from_train(root, tmp_path):
    there = by_split(root, train=[f"p{n:02}" for n in range(20)], test=["p20", "p21", "p22"])
    data = opened(asked(there, patient=r"p\d+"), tmp_path)
    assert set(data.splits["test"].groups) == {"p20", "p21", "p22"}
    assert len(set(data.splits["valid"].groups)) in (2, 3)  # 0.1 of 0.8, of 20 patients
    assert not set(data.splits["valid"].groups) & set(data.splits["train"].groups)


def test_a_patient_in_two_folders_of_splits_is_refused(root, tmp_path):
    there = by_split(root, train=["p00", "p01", "p12"], val=["p02", "p13"], test=["p00", "p14"])
    with pytest.raises(UserError, match=r"1 patients are in more than one split \(p00\)"):
        opened(asked(there, patient=r"p\d+"), tmp_path)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("square", "normal"), ("square", "normal")),
        ({"square": "finding", "normal": "none"}, ("finding", "none")),
    ],
)
def test_classes_have_the_order_and_names_asked_for(root, tmp_path, classes, names):
    data = opened(asked(root, classes=classes), tmp_path)
    assert data.classes == names
    assert all(label == (path[0] == "n") for path, (_, label) in everything(data).items())


def test_of_three_folders_two_may_be_asked_for(root, tmp_path):
    shutil.copytree(root / "normal", root / "blurred")
    assert opened(asked(root), tmp_path).task == "multiclass"
    data = opened(asked(root, classes=("normal", "square")), tmp_path)
    assert (data.task, len(everything(data))) == ("binary", 48)


@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_masks_lie_beside_the_images(root, tmp_path, suffix):
    masks = tmp_path / "masks"
    for file in list(masks.rglob("*.png")):
        mask = Image.open(file).copy()
        file.unlink()
        mask.point(lambda value: value // 255).save(file.with_name(f"{file.stem}{suffix}.bmp"))
    data = opened(asked(root, masks=masks, mask_suffix=suffix), tmp_path)
    split = data.splits["test"]
    rows = np.arange(len(split))
    found = split.masks(rows, split.labels)["evidence"]
    for image, mask, label in zip(split.images(rows), found, split.labels, strict=True):
        assert mask.sum() == 64 * label
        assert not label or image[mask].min() > image[~mask].max()
    other = split.masks(rows, 1 - split.labels)["evidence"]
    assert not other.any()  # nothing speaks for the class that it is not
    assert data.facts["masked_images"] == 24
    assert data.checksum != opened(asked(root), tmp_path).checksum


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"root": None}, "root: is missing; name the folder"),
        ({"root": Path("nowhere")}, "root: nowhere is no folder (working directory"),
        ({"classes": ("normal", "sqaure")}, "no folder 'sqaure'; allowed: normal, square (did you"),
        ({"classes": {"normal": "a", "square": "a"}}, "classes: two have one name: a, a"),
        ({"classes": ("normal",)}, "classes: at least two are needed; there is normal"),
        ({"patient": "(p"}, "patient: '(p' is no regular expression"),
        ({"patient": "p", "groups": Path("g.csv")}, "groups: and patient both name the patients"),
        ({"groups": Path("nowhere.csv")}, "nowhere.csv"),
        ({"masks": Path("nowhere")}, "masks: nowhere is no folder"),
        (
            {"resize": None, "crop": CropOptions()},
            "resize: is null, but what crop leaves of images",
        ),
        ({"fractions": (0.5, 0.5, 0.5)}, "fractions: are (0.5, 0.5, 0.5); three above 0"),
    ],
)
def test_what_cannot_be_is_told(root, tmp_path, settings, said):
    with pytest.raises(UserError) as caught:
        opened(replace(asked(root), **settings), tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_classes_are_told(root, tmp_path):
    shutil.copy(root / "normal" / "p00_0.png", root / "loose.png")
    with pytest.raises(UserError, match=r"1 images outside of a class's folder \(loose.png\)"):
        opened(asked(root), tmp_path)
    (root / "loose.png").unlink()
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="has no images in folders of classes"):
        opened(asked(tmp_path / "empty"), tmp_path)
    there = by_split(root, train=["p00", "p12"])
    with pytest.raises(UserError, match="has train but no images in test; add them, or have"):
        opened(asked(there), tmp_path)


def test_a_mask_of_another_size_is_told(root, tmp_path):
    file = next((tmp_path / "masks").rglob("*.png"))
    Image.new("L", (5, 4)).save(file)
    data = opened(asked(root, masks=tmp_path / "masks"), tmp_path)
    look = lambda: [s.masks(np.arange(len(s)), s.labels) for s in data.splits.values()]
    with pytest.raises(UserError, match=r"has 4 x 5 pixels, its image 24 x 24; they must be the"):
        look()


def test_a_folder_of_no_split_is_said_to_be_left_out(root, tmp_path):
    names = [f"p{n:02}" for n in range(18)]
    there = by_split(root, train=names, test=["p19", "p20"], notes=["p21"])
    heard = Heard()
    opened(asked(there, patient=r"p\d+"), tmp_path, heard)
    assert "left out, as of no split: notes" in heard.lines
