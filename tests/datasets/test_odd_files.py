"""Image files as the world has them: odd names, links and kinds, each read as what it is."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageCms

from xaibench.config.reading import load_config
from xaibench.datasets.image_folder import ImageFolder
from xaibench.datasets.image_table import ImageTable
from xaibench.errors import UserError
from xaibench.imaging.image_files import BadImage, read_colour, read_grey
from xaibench.imaging.own_masks import read_own_mask
from xaibench.phantoms.own_pictures import draw_folders, draw_table
from xaibench.progress import SilentProgress
from xaibench.runs.story import run

E_ONE, E_TWO = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
NAMES = (
    *("a b", "trail ", "q'uo\"te", "new\nline", "tab\t", "-rf", "😀", "\u202egnp", "正常", E_ONE),
    *(E_TWO, "A", "a", "%s{}", "x#2", "back\\slash", "semi;", "$x^{$", r"$\frac$", "[red]"),
    *("c,omma", "<b>&amp;", "pi|pe", "=1+1"),
)
RGB = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)


@pytest.fixture
def root(tmp_path) -> Path:
    """Two classes of 24 images, of odd names; also their masks."""
    images = draw_folders(tmp_path)
    for label in ("normal", "square"):
        for name, file in zip(NAMES, sorted((images / label).iterdir()), strict=True):
            mask = tmp_path / "masks" / label / file.name
            if mask.exists():
                mask.rename(mask.with_name(f"{name}.png"))
            file.rename(file.with_name(f"{name}.png"))
    return images


def test_any_name_is_an_image_of_its_own(root, tmp_path):
    dataset = ImageFolder(root=root, resize=None, masks=tmp_path / "masks")
    data = dataset.open(seed=0, cache=tmp_path / "cache", progress=SilentProgress())
    ids = []
    for split in data.splits.values():
        rows = np.arange(len(split))
        masks = split.masks(rows, split.labels)["evidence"]
        for name, image, mask in zip(split.ids, split.images(rows), masks, strict=True):
            assert np.array_equal(image, read_colour(root / name))
            assert mask.any() == name.startswith("square/")
        ids += split.ids.tolist()
    assert sorted(ids) == sorted(f"{c}/{n}.png" for c in ("normal", "square") for n in NAMES)


@pytest.mark.slow
def test_a_run_ends_in_tables_and_figures_of_any_name(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "name": "odd",
        "images": {"count": 10},
        "dataset": {
            "use": "image_folder",
            "root": str(root),
            "resize": None,
            "classes": {"normal": "$正常^{$", "square": "<b>|é"},
        },
        "model": {"use": "gap_cnn", "width": 8},
        "training": {"epochs": 1, "batch_size": 8},
        "explainers": {"random": None, "grad_cam": None},
        "metrics": {"deletion": {"steps": 4}},
    }
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(config))
    folder = run(load_config(tmp_path / "odd.yaml"))
    known = {f"{label}/{name}.png" for label in ("normal", "square") for name in NAMES}
    scores = pd.read_parquet(folder / "scores.parquet")
    images = set(scores["image"].dropna())
    assert len(images) == 10
    assert images <= known
    assert (folder / "figures" / "panels.png").stat().st_size > 10_000
    assert "<b>|" not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_link_out_of_the_root_and_a_folder_called_as_an_image_are_read(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "b" / "x.png").mkdir(parents=True)
    for number in range(6):
        Image.fromarray(RGB).save(tmp_path / f"{number}.png")
        (tmp_path / "set" / "a" / f"{number}.png").symlink_to(tmp_path / f"{number}.png")
        Image.fromarray(255 - RGB).save(tmp_path / "set" / "b" / "x.png" / f"{number}.png")
    (tmp_path / "set" / "c").symlink_to(tmp_path / "set" / "b" / "x.png")  # a class
    dataset = ImageFolder(root=tmp_path / "set", resize=None)
    data = dataset.open(seed=0, cache=tmp_path / "cache", progress=SilentProgress())
    assert data.classes == ("a", "b", "c")
    for split in data.splits.values():
        for label, image in zip(split.labels, split.images(np.arange(len(split))), strict=True):
            assert np.array_equal(image, 255 - RGB if label else RGB)


@pytest.mark.parametrize(("on_disk", "in_table"), [(E_ONE, E_TWO), (E_TWO, E_ONE)])
def test_a_table_may_write_letters_in_another_form_than_the_disk(tmp_path, on_disk, in_table):
    root = draw_table(tmp_path / "set")
    (root / "p00_0.png").rename(root / f"{on_disk}.png")
    table = pd.read_csv(root / "table.csv", dtype=str)
    table.loc[0, "path"] = f"{in_table}.png"
    table.to_csv(root / "table.csv", index=False)
    dataset = ImageTable(root=root, table=Path("table.csv"), label="class", resize=None)
    data = dataset.open(seed=0, cache=tmp_path / "cache", progress=SilentProgress())
    assert f"{on_disk}.png" in {name for split in data.splits.values() for name in split.ids}


def test_a_file_that_may_not_be_read_is_bad(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "x.png")
    access = os.access  # tests may run as root, who may read all
    monkeypatch.setattr(
        os, "access", lambda path, mode: "x.png" not in str(path) and access(path, mode)
    )
    with pytest.raises(BadImage, match=r"cannot be read \(Permission denied\)"):
        read_grey(tmp_path / "x.png")


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1)])
@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "gif"])
def test_a_pixel_and_a_line_are_images(tmp_path, shape, kind):
    line = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(line).save(tmp_path / f"x.{kind}")
    assert np.array_equal(read_grey(tmp_path / f"x.{kind}"), line)


def test_a_file_is_read_as_what_it_is_whatever_its_name_says(tmp_path):
    for kind in ("PNG", "BMP", "TIFF"):
        Image.fromarray(RGB).save(tmp_path / "x.jpg", kind)
        assert np.array_equal(read_colour(tmp_path / "x.jpg"), RGB)
    Image.fromarray(RGB).save(tmp_path / "x.webp", "WEBP", lossless=True)
    assert np.array_equal(read_colour(tmp_path / "x.webp"), RGB)


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("profile", ["none", "sRGB", "odd"])
def test_a_colour_profile_changes_nothing(tmp_path, kind, profile):
    profiles = {
        "none": None,
        "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "odd": b"no profile",
    }
    Image.fromarray(RGB).save(tmp_path / f"plain.{kind}")
    Image.fromarray(RGB).save(tmp_path / f"x.{kind}", icc_profile=profiles[profile])
    assert np.array_equal(
        read_colour(tmp_path / f"x.{kind}"), read_colour(tmp_path / f"plain.{kind}")
    )


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp"])
def test_what_stands_behind_an_image_is_ignored(tmp_path, kind):
    Image.fromarray(RGB).save(tmp_path / f"x.{kind}")
    whole = read_colour(tmp_path / f"x.{kind}")
    with (tmp_path / f"x.{kind}").open("ab") as file:
        file.write(b"junk" * 100)
    assert np.array_equal(read_colour(tmp_path / f"x.{kind}"), whole)


@pytest.mark.parametrize("exif", [b"Exif\0\0junkjunk", b""])
def test_a_broken_note_of_the_camera_is_ignored(tmp_path, exif):
    Image.fromarray(RGB).save(tmp_path / "plain.jpg")
    Image.fromarray(RGB).save(tmp_path / "x.jpg", exif=exif)
    assert np.array_equal(read_colour(tmp_path / "x.jpg"), read_colour(tmp_path / "plain.jpg"))


def test_a_mask_of_no_numbers_is_told(tmp_path):
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "m.tif")
    with pytest.raises(UserError, match="holds pixels that are no number; mend or remove it"):
        read_own_mask(tmp_path / "m.tif", (4, 4))
    (tmp_path / "m.tif").write_text("<html>")
    with pytest.raises(UserError, match=r"masks: .*m\.tif: is no image: it is a web page"):
        read_own_mask(tmp_path / "m.tif", (4, 4))
