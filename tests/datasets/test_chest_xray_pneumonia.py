"""The paediatric pneumonia set: its folders, its patients, what is wrong in it, its stand-in."""

from __future__ import annotations

import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from heard import Heard
from PIL import Image

from xaibench.datasets.chest_xray_pneumonia import ChestXrayPneumonia
from xaibench.errors import UserError
from xaibench.imaging import kaggle
from xaibench.imaging.layouts.kermany import clean_root, patient_of_kermany, read_records
from xaibench.imaging.mask_files import read_mask
from xaibench.imaging.preprocess import CropOptions, ResizeOptions
from xaibench.phantoms.chest_xray_pneumonia import KermanyPhantoms
from xaibench.progress import SilentProgress

IMAGES = 60
SMALL = ResizeOptions(size=64)


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("kermany") / "set"
    draw(root, seed=3, shortcut_rate=0.9)
    return root


def draw(root: Path, images: int = IMAGES, **given) -> None:
    KermanyPhantoms(root, images=images, **given).write(SilentProgress(), workers=1)


@pytest.fixture
def root(generated, tmp_path) -> Path:
    """The generated images alone, as the real ones are had: nested, and no recipe."""
    shutil.copytree(generated / "chest_xray", tmp_path / "kermany" / "archive" / "chest_xray")
    return tmp_path / "kermany"


@pytest.fixture
def opened(tmp_path):
    def open_it(root: Path | None, progress=None, **options):
        dataset = ChestXrayPneumonia(root=root, **{"resize": SMALL} | options)
        progress = progress or SilentProgress()
        return dataset.open(seed=0, cache=tmp_path / "cache", progress=progress)

    return open_it


def picture(path: Path, seed: int = 0, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (20, 24), dtype=np.uint8)
    Image.fromarray(noise).save(path, **options)


def test_the_layout_is_opened_whatever_lies_around_it(root, opened):
    data = opened(root)
    assert (data.name, data.task) == ("chest_xray_pneumonia_subset", "binary")
    assert (data.classes, data.channels, data.size) == (("normal", "pneumonia"), 1, (64, 64))
    assert sum(data.facts["images"].values()) == IMAGES
    assert data.facts["groups_in_two_splits"] == 0
    assert data.facts["generated"] is False
    for split in data.splits.values():
        folders = [Path(i).parent.name for i in split.ids]
        assert split.labels.tolist() == [int(f == "PNEUMONIA") for f in folders]
        assert split.groups.tolist() == [patient_of_kermany(Path(i).name) for i in split.ids]


def test_the_whole_set_has_the_plain_name(root, opened, monkeypatch):
    monkeypatch.setattr("xaibench.imaging.layouts.kermany.IMAGES", IMAGES)
    assert opened(root).name == "chest_xray_pneumonia"


def test_the_shallowest_clean_root_is_taken(tmp_path):
    for inside in ("__MACOSX/chest_xray", "b/chest_xray", "b/chest_xray/chest_xray"):
        for part in ("train", "test"):
            picture(tmp_path / inside / part / "NORMAL" / "IM-0001-0001.jpeg")
            picture(tmp_path / inside / part / "PNEUMONIA" / "person1_virus_1.jpeg")
    root = clean_root(tmp_path)
    assert root == tmp_path / "b/chest_xray"
    # The archive's inner copy and the copies of other systems are not pooled with it.
    picture(root / "__MACOSX/train/NORMAL/IM-0002-0001.jpeg")
    picture(root / "train/NORMAL/._IM-0001-0001.jpeg", format="JPEG")
    assert len(read_records(root, None, None, SilentProgress()).table) == 4


def test_classes_without_split_folders_are_found_too(tmp_path):
    picture(tmp_path / "NORMAL" / "IM-0001-0001.JPG", format="JPEG")
    picture(tmp_path / "PNEUMONIA" / "person1_virus_1.PNG", format="PNG")
    assert clean_root(tmp_path) == tmp_path
    found = read_records(tmp_path, None, None, SilentProgress())
    assert found.table["bad"].tolist() == ["", ""]
    assert found.labels.tolist() == [0, 1]


def test_one_class_alone_is_no_data_set(tmp_path):
    picture(tmp_path / "train" / "NORMAL" / "IM-0001-0001.jpeg")
    assert clean_root(tmp_path) is None
    assert clean_root(tmp_path / "nothing") is None


def test_what_is_wrong_is_named_and_counted(root, opened):
    train = clean_root(root) / "train"
    picture(train / "OTHER" / "x.jpeg")
    picture(train / "NORMAL" / "person900_virus_1.jpeg", 1)
    picture(train / "PNEUMONIA" / "person900_virus_2.jpeg", 2)
    (train / "NORMAL" / "notes.txt").write_text("no image")
    (train / "NORMAL" / "broken.jpeg").write_bytes(b"")
    with pytest.raises(UserError, match=r"2 of 63 image files are bad: .*in both classes"):
        opened(root)
    heard = Heard()
    bad = opened(root, heard, allowed_bad=0.1).facts["bad_files"]
    assert bad == {
        "train/NORMAL/broken.jpeg": "is empty",
        "train/NORMAL/person900_virus_1.jpeg": "is of a patient with images in both classes",
        "train/PNEUMONIA/person900_virus_2.jpeg": "is of a patient with images in both classes",
    }
    left_out = (
        "left out, as of none of the classes NORMAL, PNEUMONIA: 1 images (train/OTHER/x.jpeg)"
    )
    assert left_out in heard.lines


def test_the_split_is_kept_in_manifests(root, opened, tmp_path):
    data = opened(root, manifests=tmp_path / "split")
    again = opened(root, manifests=tmp_path / "split", split_seed=7)
    other = opened(root, split_seed=7)
    ids = lambda opened_data: opened_data.splits["test"].ids.tolist()
    assert ids(again) == ids(data) != ids(other)


def test_real_images_have_an_estimate_of_the_lungs_for_either_class(root, opened):
    split = opened(root).splits["train"]
    indices = np.arange(6)
    masks = split.masks(indices, np.ones(6, int))
    assert list(masks) == ["lungs_box_weak"]
    assert masks["lungs_box_weak"].any((1, 2)).all()
    for_normal = split.masks(indices, np.zeros(6, int))["lungs_box_weak"]
    assert np.array_equal(masks["lungs_box_weak"], for_normal)


def test_generated_images_have_true_masks(generated, opened):
    data = opened(generated, crop=None)
    assert data.name == "chest_xray_pneumonia_shortcut_synthetic"
    assert data.facts["generated"] is True
    split = data.splits["train"]
    indices = np.arange(len(split))
    masks = split.masks(indices, np.ones(len(split), int))
    assert list(masks) == ["evidence", "tag", "lungs"]
    sick = split.labels == 1
    assert masks["evidence"][sick].any((1, 2)).all()
    assert not masks["evidence"][~sick].any()
    assert 0.6 < masks["tag"][sick].any((1, 2)).mean() <= 1
    assert masks["lungs"].any((1, 2)).all()
    none = split.masks(indices, np.zeros(len(split), int))
    assert not none["evidence"].any()
    assert not none["tag"].any()
    assert np.array_equal(none["lungs"], masks["lungs"])


def test_lungs_are_darker_than_what_is_around_them(generated, opened):
    split = opened(generated, crop=CropOptions()).splits["train"]
    indices = np.arange(len(split))
    images = split.images(indices)[..., 0].astype(float)
    lungs = split.masks(indices, split.labels)["lungs"]
    inside = np.array([image[mask].mean() for image, mask in zip(images, lungs, strict=True)])
    # Beside the lungs, not the whole rest: the air around the body is darker still.
    middle = images[:, 20:44, 29:35].mean((1, 2))
    assert (inside < middle).mean() > 0.9


def test_the_stand_in_is_named_and_sized_as_asked(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # no pool for so few
    options = KermanyPhantoms(root=tmp_path / "synthetic", images=40, seed=1)
    data = opened(None, when_missing="synthesize", synthetic=options)
    assert data.name == "chest_xray_pneumonia_synthetic"
    assert sum(data.facts["images"].values()) == 40
    masks = data.splits["train"].masks(np.arange(2), np.ones(2, int))
    assert list(masks) == ["evidence", "lungs"]


def test_generated_files_are_named_and_made_like_the_original(generated):
    root = clean_root(generated)
    assert KermanyPhantoms.made(root).recipe["shortcut_rate"] == 0.9
    found = read_records(root, None, None, SilentProgress())
    assert set(found.table["bad"]) == {""}
    assert {path.split("/")[0] for path in found.table["path"]} == {"train", "val", "test"}
    assert 0.6 < found.labels.mean() < 0.8
    images_of = found.table.groupby("patient").size()
    assert images_of.max() > 1
    for path in found.table["path"][::10]:
        with Image.open(root / path) as image:
            assert (image.format, image.mode) == ("JPEG", "L")
            height, width = image.height, image.width
        assert read_mask(generated / "masks", "lungs", path, height, width).any()


def test_generated_files_follow_from_the_recipe(generated, tmp_path):
    draw(tmp_path / "again", seed=3, shortcut_rate=0.9)
    files = sorted(f.relative_to(generated) for f in generated.rglob("*") if f.is_file())
    assert files == sorted(
        f.relative_to(tmp_path / "again") for f in (tmp_path / "again").rglob("*") if f.is_file()
    )
    for file in files:
        assert (generated / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    with pytest.raises(UserError, match="another recipe"):
        draw(tmp_path / "again", seed=4, shortcut_rate=0.9)
    with pytest.raises(UserError, match=r"shortcut_rate is 0.4; it must be between 0.5"):
        draw(tmp_path / "other", seed=3, shortcut_rate=0.4)


def test_without_a_marker_no_mask_of_one_is_written(tmp_path):
    draw(tmp_path / "set", 40, seed=0)
    assert sorted(f.name for f in (tmp_path / "set" / "masks").iterdir()) == ["evidence", "lungs"]


def test_a_damaged_mask_or_recipe_is_named(generated, tmp_path, opened):
    root = tmp_path / "set"
    shutil.copytree(generated, root)
    path = read_records(clean_root(root), None, None, SilentProgress()).table["path"][0]
    mask = (root / "masks" / "lungs" / path).with_suffix(".png")
    mask.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"no readable mask .*generate the set anew"):
        read_mask(root / "masks", "lungs", path, 10, 10)
    Image.new("1", (5, 4)).save(mask)
    with pytest.raises(UserError, match=r"the mask has 4 x 5 pixels, its image 10 x 10"):
        read_mask(root / "masks", "lungs", path, 10, 10)
    (root / "recipe.json").write_text("{")
    with pytest.raises(UserError, match=r"recipe.json: cannot be read"):
        opened(root)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"root": None}, "root: is null"),
        ({"root": Path("nowhere")}, "root: nowhere holds no folders NORMAL and PNEUMONIA"),
        ({"fractions": (0.8, 0.2, 0.0), "when_missing": "synthesize"}, "fractions: are"),
        ({"fractions": (0.8, 0.1, 0.2), "when_missing": "synthesize"}, "fractions: are"),
    ],
)
def test_options_are_checked_before_anything_is_read(options, said):
    with pytest.raises(UserError, match=said):
        ChestXrayPneumonia(**options).validate()


@pytest.fixture
def hub(monkeypatch):
    """A kagglehub that hands out a folder, and a site that answers."""
    module = types.ModuleType("kagglehub")
    module.asked = []
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setattr(kaggle, "_check_reachable", lambda by_hand: None)

    def serve(folder: Path | Exception) -> types.ModuleType:
        def dataset_download(handle: str) -> str:
            module.asked.append(handle)
            if isinstance(folder, Exception):
                raise folder
            return str(folder)

        module.dataset_download = dataset_download
        return module

    return serve


def test_missing_files_are_fetched_once(root, opened, hub, tmp_path):
    module = hub(root)
    data = opened(tmp_path / "wanted", when_missing="download")
    assert module.asked == ["paultimothymooney/chest-xray-pneumonia"]
    assert sum(data.facts["images"].values()) == IMAGES
    opened(tmp_path / "wanted", when_missing="download")
    assert len(module.asked) == 1
    dataset = ChestXrayPneumonia(root=tmp_path / "wanted")
    assert "wanted/archive/chest_xray" in dataset.get(tmp_path, SilentProgress())


def test_get_fetches_and_says_where(root, hub, tmp_path):
    module = hub(root)
    said = ChestXrayPneumonia(root=tmp_path / "new").get(tmp_path, SilentProgress())
    assert said.endswith("archive/chest_xray")
    assert len(module.asked) == 1
    with pytest.raises(UserError, match="root: is null"):
        ChestXrayPneumonia(root=None).get(tmp_path, SilentProgress())


def test_a_fetch_that_brings_something_else_is_refused(opened, hub, tmp_path):
    (tmp_path / "empty").mkdir()
    hub(tmp_path / "empty")
    for use in (
        lambda: opened(tmp_path / "new", when_missing="download"),
        lambda: ChestXrayPneumonia(root=tmp_path / "new").get(tmp_path, SilentProgress()),
    ):
        with pytest.raises(UserError, match="what was fetched holds no folders NORMAL"):
            use()


@pytest.mark.real
@pytest.mark.slow
def test_the_real_images_share_no_patient(real_data, tmp_path):
    root = real_data / "chest_xray_pneumonia"
    if not root.is_dir():
        pytest.skip(f"no real radiographs: {root} is not a folder")
    dataset = ChestXrayPneumonia(root=root, resize=ResizeOptions(size=32), crop=None)
    data = dataset.open(seed=0, cache=tmp_path, progress=SilentProgress())
    facts = data.facts
    assert data.name == "chest_xray_pneumonia_subset"
    assert sum(facts["images"].values()) == 5554
    assert sum(facts["groups"].values()) == 2935
    assert facts["groups_in_two_splits"] == 0
    assert facts["bad_files"] == {}
    shares = {split: n / 5554 for split, n in facts["images"].items()}
    assert shares == pytest.approx({"train": 0.8, "valid": 0.09, "test": 0.11}, abs=0.002)
