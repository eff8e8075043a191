"""From a table of image files to splits of whole patients, with masks in the right place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from heard import Heard
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging.picture_sets import PictureOptions, Records, radiograph_data
from xaibench.imaging.preprocess import CropOptions, Preprocessing, ResizeOptions
from xaibench.imaging.split_of_images import SplitOptions
from xaibench.progress import SilentProgress

SPLIT = SplitOptions((0.6, 0.2, 0.2), seed=0)
SMALL = Preprocessing(crop=None, resize=ResizeOptions(size=16))


@pytest.fixture
def records(tmp_path) -> Records:
    """Forty noisy images of twenty patients, 24 rows and 20 to 29 columns."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        path = f"a/{number:02d}.png"
        (tmp_path / "a").mkdir(exist_ok=True)
        picture = rng.integers(40, 200, (24, 20 + number % 10), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / path)
        rows.append({"path": path, "patient": f"p{number // 2:02d}"})
    labels = np.arange(40) // 2 % 2
    return Records(tmp_path, pd.DataFrame(rows), labels, "set", "binary", ("no", "yes"))


@pytest.fixture
def opened(tmp_path):
    def open_it(records: Records, progress=None, **given):
        given = {"preprocessing": SMALL, "channels": 1, "split": SPLIT} | given
        options = PictureOptions(**given)
        return radiograph_data(records, options, tmp_path / "cache", progress or SilentProgress())

    return open_it


def where(data) -> dict[str, str]:
    return {i: name for name, split in data.splits.items() for i in split.ids}


def test_every_image_is_in_one_split_and_no_patient_in_two(records, opened):
    data = opened(records)
    assert sorted(where(data)) == sorted(records.table["path"])
    groups = [set(split.groups) for split in data.splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    assert data.facts["groups_in_two_splits"] == 0
    assert sum(data.facts["images"].values()) == 40


def test_labels_and_images_are_those_of_the_files(records, opened):
    data = opened(records)
    split = data.splits["test"]
    rows = records.table.set_index("path").loc[split.ids]
    assert split.groups.tolist() == rows["patient"].tolist()
    at = [records.table["path"].tolist().index(i) for i in split.ids]
    assert split.labels.tolist() == records.labels[at].tolist()
    images = split.images(np.array([1, 0, 1]))
    assert images.shape == (3, 16, 16, 1)
    assert images.dtype == np.uint8
    assert np.array_equal(images[0], images[2])
    original = np.asarray(Image.open(records.root / split.ids[0]))
    assert abs(images[1].mean() - original.mean()) < 10


def test_grey_is_copied_to_three_channels(records, opened):
    images = opened(records, channels=3).splits["train"].images(np.arange(2))
    assert images.shape == (2, 16, 16, 3)
    assert (images == images[..., :1]).all()


def test_the_table_may_give_ids_and_the_split(records, opened):
    given = np.where(np.arange(40) < 32, "train", "test")
    table = records.table.assign(split=given, id=[f"image{n}" for n in range(40)])
    data = opened(replace(records, table=table))
    assert set(data.splits["test"].ids) == {f"image{n}" for n in range(32, 40)}
    assert len(data.splits["valid"]) == 8  # a quarter of 32, as 0.2 is of 0.8
    groups = set(data.splits["train"].groups) & set(data.splits["valid"].groups)
    assert groups == set()


def test_a_given_split_that_shares_a_patient_is_refused(records, opened):
    given = np.where(np.arange(40) < 33, "train", "test")
    given[:4] = "valid"
    with pytest.raises(UserError, match=r"1 patients are in more than one split \(p16\)"):
        opened(replace(records, table=records.table.assign(split=given)))


def test_a_given_split_without_test_images_is_refused(records, opened):
    given = np.where(np.arange(40) < 32, "train", "valid")
    with pytest.raises(UserError, match=r"the table's split has no image in test"):
        opened(replace(records, table=records.table.assign(split=given)))


def test_counts_and_patients_are_said(records, opened):
    heard = Heard()
    facts = opened(records, heard).facts
    train, groups = facts["images"]["train"], facts["groups"]["train"]
    yes = facts["positives"]["train"]["yes"]
    assert heard.lines[0] == "set: 40 images of 20 patients"  # nothing was to be cropped
    line = next(line for line in heard.lines if line.startswith("train:"))
    assert line.startswith(f"train: {train} images of {groups} patients; no {train - yes} ")
    assert f"yes {yes} ({yes / train:.1%})" in line
    assert heard.lines[-1] == "patients in two splits: 0"


def test_manifests_are_written_once_and_used_afterwards(records, opened, tmp_path):
    folder = tmp_path / "manifests"
    first = opened(records, split=replace(SPLIT, manifests=folder))
    assert {file.name for file in folder.iterdir()} == {"train.csv", "val.csv", "test.csv"}
    read = pd.read_csv(folder / "val.csv")
    assert read.columns.tolist() == ["path", "label", "patient"]
    assert read["path"].tolist() == first.splits["valid"].ids.tolist()
    assert set(read["label"]) <= {"no", "yes"}
    other_seed = SplitOptions(SPLIT.fractions, seed=5, manifests=folder)
    assert where(opened(records, split=other_seed)) == where(first)
    assert where(opened(records, split=replace(other_seed, manifests=None))) != where(first)


def test_manifests_hold_a_column_for_each_of_several_labels(records, opened, tmp_path):
    labels = np.stack([records.labels, 1 - records.labels], axis=1).astype(np.float32)
    labels[0] = np.nan
    labels[1] = 0
    several = replace(records, labels=labels, task="multilabel")
    split = replace(SPLIT, manifests=tmp_path / "manifests")
    data = opened(several, split=split)
    assert where(opened(several, split=split)) == where(data)
    read = pd.concat(pd.read_csv(file) for file in (tmp_path / "manifests").iterdir())
    read = read.set_index("path").loc[records.table["path"]]
    assert read["label"].tolist()[:4] == ["none", "none", "no", "no"]
    assert np.array_equal(read[["no", "yes"]], labels, equal_nan=True)
    assert sum(data.facts["missing_labels"][s]["yes"] for s in data.splits) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[1:], r"leave out 1 images \(a/"),
        (lambda t: pd.concat([t, t.iloc[:1].assign(path="x.png")]), r"name 1 images .*\(x.png\)"),
        (lambda t: t.assign(label="no"), r"say another 'label' of a/"),
        (lambda t: t.assign(patient=t["patient"] + "x"), r"say another 'patient' of a/"),
    ],
)
def test_manifests_of_other_images_are_refused(records, opened, tmp_path, change, said):
    split = replace(SPLIT, manifests=tmp_path / "manifests")
    opened(records, split=split)
    file = tmp_path / "manifests" / "train.csv"
    change(pd.read_csv(file)).to_csv(file, index=False)
    with pytest.raises(UserError, match=f"manifests: .*{said}.*split anew"):
        opened(records, split=split)


def test_bad_files_and_bad_rows_are_judged_together(records, opened):
    (records.root / "a/07.png").write_bytes(b"no image")
    table = records.table.assign(bad="")
    table.loc[3, "bad"] = "is nobody's"
    marked = replace(records, table=table)
    with pytest.raises(UserError, match=r"1 of 40 image files are bad: .*a/03.png: is nobody's"):
        opened(marked)
    with pytest.raises(UserError, match=r"1 of 39 .*a/07.png: is no image"):
        opened(marked, allowed_bad=0.025)
    heard = Heard()
    data = opened(marked, heard, allowed_bad=0.05)
    assert data.facts["bad_files"] == {"a/03.png": "is nobody's", "a/07.png": "is no image"}
    assert sorted(where(data)) == sorted(set(table["path"]) - {"a/03.png", "a/07.png"})
    assert any("a/07.png" in line for line in heard.lines)
    split = data.splits["train"]  # the rows after a bad one still have their own pictures
    whole = opened(
        replace(records, table=records.table.drop(7), labels=np.delete(records.labels, 7))
    )
    for at, path in enumerate(split.ids):
        name = where(whole)[path]
        twin = whole.splits[name].ids.tolist().index(path)
        expected = whole.splits[name].images(np.array([twin]))
        assert np.array_equal(split.images(np.array([at])), expected)


def test_the_checksum_follows_images_labels_split_and_masks(records, opened):
    first = opened(records).checksum
    assert opened(records).checksum == first
    others = [
        opened(records, split=replace(SPLIT, seed=1)),
        opened(records, preprocessing=replace(SMALL, resize=ResizeOptions(size=17))),
        opened(replace(records, labels=1 - records.labels)),
        opened(replace(records, masks_from="a recipe")),
    ]
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(records.root / "a/00.png")
    others.append(opened(records))
    assert len({first, *(other.checksum for other in others)}) == 6


@pytest.mark.parametrize("mode", ["cover", "pad"])
def test_masks_are_carried_through_crop_and_resize(tmp_path, opened, mode):
    """A white square is the mask; after all is done the mask must lie on the white."""
    rng = np.random.default_rng(1)
    masks, rows = {}, []
    for number in range(12):
        height, width = rng.integers(90, 140, 2)
        picture = rng.integers(90, 110, (height, width), dtype=np.uint8)
        picture[:6], picture[:, -6:] = 0, 0
        mask = np.zeros((height, width), bool)
        top, left = height // 2 - rng.integers(0, 25), width // 2 - rng.integers(0, 25)
        mask[top : top + 36, left : left + 30] = True
        picture[mask] = 255
        rows.append({"path": f"{number}.png", "patient": str(number)})
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        masks[f"{number}.png"] = mask
    square = lambda asked: {"square": asked.carry([masks[p] for p in asked.rows["path"]])}
    names = ("set", "binary", ("no", "yes"))
    records = Records(tmp_path, pd.DataFrame(rows), np.arange(12) % 2, *names, square)
    preprocessing = Preprocessing(CropOptions(), ResizeOptions(size=64, mode=mode))
    data = opened(records, preprocessing=preprocessing)
    assert data.facts["cropped_share"] == 1
    split = data.splits["train"]
    indices = np.arange(len(split))[::-1].copy()
    carried = split.masks(indices, np.ones(len(split), int))["square"]
    white = split.images(indices)[..., 0] > 177  # nearer to the white than to the grey around it
    assert carried.dtype == bool
    assert (carried & white).sum((1, 2)).min() >= 150
    overlap = (carried & white).sum((1, 2)) / (carried | white).sum((1, 2))
    assert overlap.min() > 0.9


def test_masks_of_no_images_are_none(records, opened):
    nothing = np.zeros(0, int)
    data = opened(replace(records, masks=lambda asked: {"none": asked.carry([])}))
    assert data.splits["test"].masks(nothing, nothing)["none"].shape == (0, 16, 16)
    assert opened(records).splits["test"].masks(np.arange(2), np.arange(2)) == {}
