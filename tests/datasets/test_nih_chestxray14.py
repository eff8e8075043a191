"""NIH ChestX-ray14: files, labels, patients and boxes as they are, and a stand-in like them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xaibench.datasets.nih_chestxray14 import NihChestxray14
from xaibench.errors import UserError
from xaibench.imaging.box_masks import filled
from xaibench.imaging.layouts import nih_records
from xaibench.imaging.layouts.nih import BOXES, ENTRIES, FINDINGS, LISTS, read_boxes
from xaibench.phantoms.nih_chestxray14 import BOXED, NihPhantoms, boxes_around
from xaibench.progress import SilentProgress

SIDE = 32
PATIENTS, EACH = 12, 3


def names(patient: int) -> list[str]:
    return [f"{patient:08d}_{shot:03d}.png" for shot in range(EACH)]


def picture(name: str) -> np.ndarray:
    rng = np.random.default_rng(int(name[:8]) * 100 + int(name[9:12]))
    return rng.integers(0, 256, (SIDE, SIDE), np.uint8)


def finding_of(patient: int) -> str:
    return ("No Finding", "Effusion", "Effusion|Mass", "Infiltration")[patient % 4]


def write_entries(root: Path, file: str = ENTRIES[0], **changed: str) -> None:
    """The table; ``changed`` says the findings of ``patient_3`` otherwise."""
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID"]
    for patient in range(1, PATIENTS + 1):
        found = changed.get(f"patient_{patient}", finding_of(patient))
        rows += [f"{name},{found},{at},{patient}" for at, name in enumerate(names(patient))]
    (root / file).write_text("\n".join(rows) + "\n")


def write_boxes(root: Path, *rows: str) -> None:
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (root / BOXES).write_text("\n".join([header, *(f"{row},,," for row in rows)]) + "\n")


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "nih"
    for patient in range(1, PATIENTS + 1):
        folder = root / f"images_{1 + patient // 6:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        for name in names(patient):
            Image.fromarray(picture(name)).save(folder / name)
    write_entries(root)
    return root


@pytest.fixture
def opened(tmp_path):
    def open_it(root: Path, **options):
        options = {"root": root, "size": SIDE} | options
        return NihChestxray14(**options).open(
            seed=0, cache=tmp_path / "cache", progress=SilentProgress()
        )

    return open_it


def mode_of(file: Path) -> str:
    with Image.open(file) as image:
        return image.mode


def find(data, name: str):
    """Return the split that holds an image, and its index there."""
    for split in data.splits.values():
        at = np.flatnonzero(split.ids == name.removesuffix(".png"))
        if at.size:
            return split, at
    raise AssertionError(f"{name} is in no split")


def box_mask(data, name: str, finding: str) -> np.ndarray:
    split, at = find(data, name)
    return split.masks(at, np.array([data.classes.index(finding)]))["box"][0]


def test_images_and_labels_are_read_from_folders_below_the_root(root, opened):
    data = opened(root)
    assert (data.name, data.task) == ("nih_chestxray14_subset", "multilabel")
    assert (data.classes, data.channels, data.size) == (FINDINGS, 3, (SIDE, SIDE))
    assert sum(data.facts["images"].values()) == PATIENTS * EACH
    for patient in range(1, PATIENTS + 1):
        for name in names(patient):
            split, at = find(data, name)
            assert split.groups[at] == [str(patient)]
            labels = split.labels[at[0]]
            assert labels.dtype == np.float32
            shown = "|".join(FINDINGS[i] for i in np.flatnonzero(labels == 1)) or "No Finding"
            assert shown == finding_of(patient)
            assert np.isin(labels, (0, 1)).all()
            images = split.images(at)
            assert images.shape == (1, SIDE, SIDE, 3)
            assert np.array_equal(images[0], np.repeat(picture(name)[..., None], 3, axis=2))
    assert data.facts["findings"]["Effusion"] == {
        "images": 6 * EACH, "patients": 6, "share": 0.5,
    }  # fmt: skip
    assert json.dumps(dict(data.facts))


def test_only_the_whole_original_is_called_by_its_name(root, opened, monkeypatch):
    monkeypatch.setattr(nih_records, "IMAGES", PATIENTS * EACH)
    assert opened(root).name == "nih_chestxray14"


def test_channels_size_and_findings_are_options(root, opened):
    data = opened(root, channels=1, size=16, findings=("Mass", "Effusion"))
    assert (data.channels, data.size, data.classes) == (1, (16, 16), ("Mass", "Effusion"))
    split, at = find(data, names(2)[0])
    assert split.labels[at].tolist() == [[1, 1]]
    split, at = find(data, names(3)[0])
    assert split.labels[at].tolist() == [[0, 0]]
    assert split.images(at).shape == (1, 16, 16, 1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_is_the_same_in_every_kind_of_png(root, opened, mode):
    file = root / "images_001" / "images" / names(1)[0]
    grey = Image.fromarray(picture(names(1)[0]))
    if mode == "P":  # a palette in another order than the greys
        turned = Image.frombytes("P", grey.size, (255 - np.asarray(grey)).tobytes())
        turned.putpalette([255 - value for value in range(256) for _ in range(3)])
        turned.save(file)
    else:
        grey.convert(mode).save(file)
    assert mode_of(file) == mode
    split, at = find(opened(root), names(1)[0])
    assert np.array_equal(split.images(at)[0, ..., 0], picture(names(1)[0]))


def test_no_patient_is_in_two_splits_for_any_seed(root, opened):
    draws = set()
    for seed in range(6):
        splits = opened(root, split_seed=seed).splits
        patients = [set(split.groups) for split in splits.values()]
        assert all(patients)
        assert len(set.union(*patients)) == sum(map(len, patients)) == PATIENTS
        draws.add(tuple(sorted(splits["test"].ids)))
    assert len(draws) > 1


def test_the_official_lists_go_before_a_draw(root, opened):
    test = {*names(3), *names(8)}
    every = [name for patient in range(1, PATIENTS + 1) for name in names(patient)]
    (root / LISTS["test"]).write_text("\n".join(sorted(test)))
    (root / LISTS["train"]).write_text("\n".join(name for name in every if name not in test))
    splits = opened(root, splits="official").splits
    assert {f"{name}.png" for name in splits["test"].ids} == test
    assert not set(splits["train"].groups) & set(splits["valid"].groups)
    assert len(splits["valid"]) == EACH  # a ninth of ten patients, drawn whole
    (root / LISTS["train"]).unlink()
    with pytest.raises(UserError, match=r"splits: is official, but .* has no train_val_list"):
        opened(root, splits="official")


def test_the_2020_edition_of_the_table_is_read(root, opened):
    (root / ENTRIES[0]).rename(root / ENTRIES[1])
    assert sum(opened(root).facts["images"].values()) == PATIENTS * EACH


def line(box: list[float]) -> str:
    return ",".join(map(str, box))


def literal(box: list[float], size: int) -> np.ndarray:
    """The pixels whose centres, in 1,024-pixel coordinates, lie in the box; one by one."""
    x, y, w, h = box
    mask = np.zeros((size, size), bool)
    for row in range(size):
        for column in range(size):
            down, across = (row + 0.5) * 1024 / size, (column + 0.5) * 1024 / size
            mask[row, column] = y <= down < y + h and x <= across < x + w
    return mask


@pytest.mark.parametrize("size", [16, 32, 48])
def test_boxes_lie_at_their_coordinates_times_size_over_1024(root, opened, size):
    rng = np.random.default_rng(size)
    boxes = [[*rng.uniform(0, 700, 2), *rng.uniform(70, 500, 2)] for _ in range(8)]
    drawn = list(zip(FINDINGS[:8], boxes, strict=True))
    write_boxes(root, *(f"{names(1)[0]},{finding},{line(box)}" for finding, box in drawn))
    data = opened(root, size=size)
    for finding, box in drawn:
        mask = box_mask(data, names(1)[0], finding)
        assert mask.any()
        assert np.array_equal(mask, literal(box, size))


def test_a_box_in_whole_pixels_is_exactly_these_pixels(root, opened):
    scale = 1024 // SIDE
    write_boxes(root, f"{names(2)[0]},Mass,{4 * scale},{6 * scale},{10 * scale},{3 * scale}")
    mask = box_mask(opened(root), names(2)[0], "Mass")
    wanted = np.zeros((SIDE, SIDE), bool)
    wanted[6:9, 4:14] = True
    assert np.array_equal(mask, wanted)


def test_boxes_of_one_finding_are_united_and_of_others_are_not(root, opened):
    one, two, other = [0, 0, 320, 320], [256, 256, 320, 64], [600, 600, 200, 200]
    name = names(3)[1]
    write_boxes(
        root,
        f"{name},Infiltrate,{line(one)}",
        f"{name},Infiltrate,{line(two)}",
        f"{name},Mass,{line(other)}",
    )
    data = opened(root)
    assert np.array_equal(
        box_mask(data, name, "Infiltration"), literal(one, SIDE) | literal(two, SIDE)
    )
    assert np.array_equal(box_mask(data, name, "Mass"), literal(other, SIDE))
    assert not box_mask(data, name, "Effusion").any()
    assert not box_mask(data, names(3)[0], "Infiltration").any()
    assert data.facts["boxes"]["of_findings_that_the_table_does_not_name"] == 1


def test_boxes_of_images_that_are_not_there_are_counted(root, opened):
    write_boxes(root, f"{names(2)[0]},Mass,1,2,300,400", "00099999_000.png,Mass,1,2,300,400")
    assert opened(root).facts["boxes"] == {
        "listed": 2, "used": 1, "images_not_there": 1,
        "of_findings_that_the_table_does_not_name": 0,
    }  # fmt: skip


def test_another_box_is_another_data_set(root, opened):
    sums = {opened(root).checksum}
    for width in (300, 301, 300):
        write_boxes(root, f"{names(2)[0]},Mass,1,2,{width},400")
        sums.add(opened(root).checksum)
    assert len(sums) == 3


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ([2.4, 2.6, 3.0, 5.0], (2, 3, 3, 5)),  # thinner than a pixel: the one that holds it
        ([-3.0, 1.0, 7.0, 9.5], (0, 1, 7, 8)),
        ([7.8, 8.0, 7.9, 8.0], (7, 8, 7, 8)),
        ([3.0, 3.0, 0.0, 8.0], (0, 0, 0, 0)),
    ],
)
def test_a_box_fills_one_pixel_at_least_if_it_has_an_area(box, wanted):
    mask = np.zeros((8, 8), bool)
    mask[slice(*wanted[:2]), slice(*wanted[2:])] = True
    assert np.array_equal(filled(np.array(box), (8, 8)), mask)


def test_rows_without_images_are_counted(root, opened):
    (root / "images_001" / "images" / names(1)[0]).unlink()
    assert opened(root).facts["rows_without_image"] == 1


def test_an_image_without_a_row_and_a_broken_one_are_named_and_allowed_together(root, opened):
    stray = root / "images_001" / "stray.png"
    Image.fromarray(picture(names(1)[0])).save(stray)
    with pytest.raises(UserError, match=r"1 of 37 .* bad: .*stray.png: no row of Data"):
        opened(root)
    assert sum(opened(root, allowed_bad=0.03).facts["images"].values()) == 36
    (root / "images_001" / "images" / names(1)[0]).write_bytes(b"")
    with pytest.raises(UserError, match=r"00000001_000.png: is empty"):
        opened(root, allowed_bad=0.03)
    data = opened(root, allowed_bad=0.06)
    assert sorted(data.facts["bad_files"]) == [
        "images_001/images/00000001_000.png",
        "images_001/stray.png",
    ]
    assert sum(data.facts["images"].values()) == 35


def test_an_image_in_two_places_is_named(root, opened):
    Image.fromarray(picture(names(1)[0])).save(root / names(1)[0])
    with pytest.raises(
        UserError, match=r"00000001_000.png lies in two places, .*; remove the copy"
    ):
        opened(root)


def test_a_table_without_its_images_is_an_error(root, opened, tmp_path):
    (tmp_path / "empty").mkdir()
    (root / ENTRIES[0]).rename(tmp_path / "empty" / ENTRIES[0])
    with pytest.raises(UserError, match=r"none of the 36 images of Data_Entry_2017.csv lies below"):
        opened(tmp_path / "empty")


def test_a_missing_table_is_an_error_that_says_where_it_is_had(tmp_path):
    with pytest.raises(UserError) as caught:
        NihChestxray14(root=tmp_path).validate()
    said = str(caught.value)
    assert said.startswith(f"root: {tmp_path} has no Data_Entry_2017.csv or ")
    assert "NIH Clinical Center" in said
    assert "nih-chest-xrays/data" in said
    assert "set when_missing to synthesize" in said
    assert "\n" not in said
    assert "nih-chest-xrays/data" in NihChestxray14(root=tmp_path).get(tmp_path, SilentProgress())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": None}, "root: is null: name a folder, or set when_missing"),
        ({"findings": ("Mas",)}, "findings: unknown 'Mas'.*did you mean 'Mass'"),
        ({"findings": ()}, "findings: are .*; name one at least"),
        ({"findings": ("Mass", "Mass")}, "none twice"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        NihChestxray14(**options).validate()


COUNT, RATE = 60, 0.9


def draw(root: Path, seed: int = 5) -> None:
    phantoms = NihPhantoms(root, images=COUNT, size=64, seed=seed, shortcut_rate=RATE)
    phantoms.write(SilentProgress(), workers=1)


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("generated") / "set"
    draw(root)
    return root


def options(root: Path, **changed) -> dict:
    made = {"root": root, "images": COUNT, "size": 64, "seed": 5, "shortcut_rate": RATE} | changed
    return {"when_missing": "synthesize", "synthetic": NihPhantoms(**made), "size": 64}


def test_the_generated_set_is_read_as_a_real_one(generated, opened, tmp_path):
    # The loader tells them from real ones by their recipe alone.
    shutil.copytree(
        generated, tmp_path / "real", ignore=shutil.ignore_patterns("recipe.json", "masks")
    )
    real = opened(tmp_path / "real", size=64)
    assert opened(generated, size=64).name == "nih_chestxray14_shortcut_synthetic"
    made = opened(tmp_path / "none", **options(generated))
    assert (real.name, made.name) == (
        "nih_chestxray14_subset",
        "nih_chestxray14_shortcut_synthetic",
    )
    assert sum(real.facts["images"].values()) == COUNT
    assert real.facts["rows_without_image"] == 0
    assert real.facts["boxes"]["used"] == real.facts["boxes"]["listed"] > 5
    for name in ("train", "valid", "test"):
        one, other = real.splits[name], made.splits[name]
        every = np.arange(len(one))
        assert one.ids.tolist() == other.ids.tolist()
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.images(every), other.images(every))
        assert list(one.masks(every, every * 0)) == ["box"]
    modes = {mode_of(file) for file in generated.glob("images_*/images/*.png")}
    assert modes == {"L", "RGBA", "P"}
    groups = np.concatenate([split.groups for split in real.splits.values()])
    assert 1 < np.unique(groups, return_counts=True)[1].max() <= 5


def test_generated_images_know_evidence_box_tag_and_lungs(generated, opened, tmp_path):
    data = opened(tmp_path / "none", **options(generated))
    tagged = []
    boxed = read_boxes(generated / BOXES)
    for split in data.splits.values():
        for finding in ("Effusion", "Hernia", "Infiltration", "Pneumothorax"):
            every, target = np.arange(len(split)), FINDINGS.index(finding)
            masks = split.masks(every, np.full(len(split), target))
            assert list(masks) == ["evidence", "tag", "lungs", "box"]
            shown = split.labels[:, target] == 1
            assert masks["evidence"].any((1, 2)).tolist() == shown.tolist()
            assert masks["lungs"].any((1, 2)).all()
            held = boxed[boxed["finding"] == finding]["image"].str.removesuffix(".png")
            assert masks["box"].any((1, 2)).tolist() == np.isin(split.ids, held).tolist()
            if finding == "Pneumothorax":
                tagged += masks["tag"].any((1, 2))[shown].tolist()
                assert not masks["tag"][~shown].any()
            else:
                assert not masks["tag"].any()
            # Each box goes around a part of the mask, and all of them around most of it.
            for evidence, box in zip(masks["evidence"], masks["box"], strict=True):
                if box.any():
                    assert (evidence & box).sum() > 0.6 * evidence.sum()
    assert np.mean(tagged) > 0.5


def test_without_a_shortcut_there_is_no_tag(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    made = options(tmp_path / "made", shortcut_rate=None, images=40)
    data = opened(tmp_path / "none", **made)
    assert data.name == "nih_chestxray14_synthetic"
    split = data.splits["train"]
    assert list(split.masks(np.arange(1), np.zeros(1, int))) == ["evidence", "lungs", "box"]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("*")}
    assert opened(tmp_path / "none", **made).checksum == data.checksum
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("*")} == kept


def test_the_set_follows_from_its_recipe(generated, tmp_path):
    draw(tmp_path / "again")
    files = sorted(file.relative_to(generated) for file in generated.rglob("*") if file.is_file())
    again = tmp_path / "again"
    assert files == sorted(f.relative_to(again) for f in again.rglob("*") if f.is_file())
    assert all((generated / file).read_bytes() == (again / file).read_bytes() for file in files)
    with pytest.raises(UserError, match="another recipe"):
        draw(generated, seed=6)


def test_boxes_go_around_each_part_of_a_mask_in_1024_pixel_coordinates():
    mask = np.zeros((64, 64), bool)
    mask[10:20, 30:40] = True
    mask[10:20, 44:50] = True  # near enough to be the same part
    mask[40:50, 0:10] = True
    mask[62, 62] = True  # a speck, less than a tenth
    assert boxes_around(mask) == [[480, 160, 320, 160], [0, 640, 160, 160]]
    specks = np.zeros((256, 256), bool)
    specks[8::40, 16::80] = True  # rows 8 to 248, columns 16 to 176
    assert specks.sum() > 20
    assert boxes_around(specks) == [[64, 32, 4 * 161, 4 * 241]]
    assert set(BOXED) < set(FINDINGS)
    assert len(BOXED) == 8


@pytest.mark.real
def test_a_thousand_real_images_and_their_nine_boxes(real_data, opened):
    root = real_data / "nih_small"
    data = opened(root, size=64)
    assert data.facts["images"] == {"train": 819, "valid": 82, "test": 99}
    assert data.facts["groups"] == {"train": 228, "valid": 11, "test": 25}
    assert data.facts["groups_in_two_splits"] == 0
    assert data.facts["boxes"]["used"] == 9
    for row in read_boxes(root / BOXES).itertuples():
        box = [row.x, row.y, row.w, row.h]
        split, at = find(data, row.image)
        assert split.labels[at[0], data.classes.index(row.finding)] == 1
        assert np.array_equal(box_mask(data, row.image, row.finding), literal(box, 64))
    # Some of these files are RGBA; read as grey they are pictures all the same.
    images = data.splits["test"].images(np.arange(99))
    assert (images.std((1, 2, 3)) > 10).all()
