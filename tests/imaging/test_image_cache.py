"""Prepared images are made once, whole or not at all, and say what became of each file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging import image_cache, preparing
from xaibench.imaging.frame_crop import Bounds, CropOptions
from xaibench.imaging.image_cache import PreparedSet, prepared_images
from xaibench.imaging.image_files import read_grey
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions, prepare
from xaibench.progress import SilentProgress

OPTIONS = Preprocessing(CropOptions(), ResizeOptions(48))


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Six framed pictures, of which two in different folders have the same name."""
    rng = np.random.default_rng(0)
    made = []
    for number, name in enumerate(["a/1", "a/2", "b/1", "b/3", "c/x", "c/y"]):
        image = np.zeros((100, 110 + number), np.uint8)
        image[10:-10, 10:-10] = rng.integers(90, 250, image[10:-10, 10:-10].shape)
        file = tmp_path / "images" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
        made.append(file)
    return made


@pytest.fixture
def made(monkeypatch) -> list[Path]:
    """Every file that is read from now on."""
    read: list[Path] = []

    def listening(path, reading, numbers) -> Iterator[np.ndarray]:
        read.append(path)
        yield read_grey(path)

    monkeypatch.setattr(preparing, "read_pictures", listening)
    return read


def prepared(files: list[Path], options: Preprocessing = OPTIONS, **more: object) -> PreparedSet:
    cache = files[0].parents[2] / "cache"
    return prepared_images(files, options, cache=cache, progress=SilentProgress(), **more)


def test_images_and_table_are_those_of_each_file(files):
    found = prepared(files)
    assert found.images.shape == (6, 48, 48)
    for row, file in enumerate(files):
        one = prepare(read_grey(file), OPTIONS)
        assert np.array_equal(found.images[row], one.image)
        assert found.placement(row) == one.placement
        listed = found.table.iloc[row]
        assert listed["path"] == str(file)
        assert (listed["height"], listed["width"]) == (100, 110 + row)
        assert Bounds(*listed[["top", "bottom", "left", "right"]]) == one.placement.bounds
        assert listed["removed"] == pytest.approx(one.placement.removed)
    assert found.table["cropped"].all()
    assert not found.table["bad"].any()


def test_images_are_mapped_and_cannot_be_changed(files):
    images = prepared(files).images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0, 0, 0] = 1


def test_the_second_time_nothing_is_read(files, made):
    first = prepared(files)
    assert sorted(made) == sorted(files)
    again = prepared(files)
    assert len(made) == len(files)
    assert again.key == first.key
    assert np.array_equal(again.images, first.images)
    assert again.table.equals(first.table)


def test_files_that_moved_are_known_again(files, made):
    key = prepared(files).key
    moved = files[0].parents[1].with_name("moved")
    shutil.move(files[0].parents[1], moved)
    there = [moved / file.relative_to(files[0].parents[1]) for file in files]
    found = prepared(there)
    assert found.key == key
    assert len(made) == len(files)
    assert list(found.table["path"]) == [str(file) for file in there]


def test_any_option_name_content_or_order_makes_another_key(files, tmp_path):
    keys = {prepared(files).key, prepared(files[::-1]).key, prepared(files[:5]).key}
    keys.add(prepared(files, Preprocessing(None, ResizeOptions(48))).key)
    keys.add(prepared(files, Preprocessing(CropOptions(padding=3), ResizeOptions(48))).key)
    keys.add(prepared(files, Preprocessing(CropOptions(), ResizeOptions(48, "pad"))).key)
    keys.add(prepared([*files[:5], files[5].rename(files[5].with_name("z.png"))]).key)
    Image.fromarray(np.full((100, 100), 99, np.uint8)).save(files[0])
    keys.add(prepared(files[:5]).key)
    assert len(keys) == 8


def test_another_version_of_the_preparation_is_another_key(files, monkeypatch):
    key = prepared(files).key
    monkeypatch.setattr(image_cache, "PREPROCESS_VERSION", -1)
    assert prepared(files).key != key


def test_a_bad_file_is_named_and_nothing_is_kept(files, tmp_path):
    files[2].write_bytes(b"")
    with pytest.raises(UserError) as caught:
        prepared(files, allowed_bad=0.1)
    assert str(caught.value).startswith(f"1 of 6 image files are bad: {files[2]}: is empty; mend")
    assert list((tmp_path / "cache" / "prepared").iterdir()) == []


def test_an_allowed_bad_file_keeps_its_row_and_is_black(files):
    good = prepared(files).images[:].copy()
    files[2].write_bytes(b"")
    found = prepared(files, allowed_bad=0.2)
    assert list(found.table["bad"]) == [False, False, True, False, False, False]
    assert list(found.table["reason"]) == ["", "", "is empty", "", "", ""]
    assert found.table["height"].iloc[2] == 0
    assert not found.images[2].any()
    keep = ~found.table["bad"].to_numpy()
    assert np.array_equal(found.images[keep], good[keep])


def test_what_was_allowed_once_is_not_allowed_for_ever(files):
    files[2].write_bytes(b"")
    prepared(files, allowed_bad=0.2)
    with pytest.raises(UserError, match=r"1 of 6 image files are bad"):
        prepared(files)


def test_an_interruption_leaves_nothing(files, tmp_path, monkeypatch):
    def interrupted(path, reading, numbers) -> Iterator[np.ndarray]:
        if path == files[3]:
            raise KeyboardInterrupt
        yield read_grey(path)

    monkeypatch.setattr(preparing, "read_pictures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepared(files)
    assert list((tmp_path / "cache" / "prepared").iterdir()) == []
    monkeypatch.undo()
    assert len(prepared(files).images) == 6


def test_a_damaged_cache_is_named(files, tmp_path):
    key = prepared(files).key
    folder = tmp_path / "cache" / "prepared" / key
    (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:900])
    with pytest.raises(UserError) as caught:
        prepared(files)
    assert str(caught.value).startswith(f"{folder}: the prepared images cannot be read (")
    assert str(caught.value).endswith("); delete the folder, and they are prepared anew")


def test_a_missing_file_is_named(files):
    files[4].unlink()
    with pytest.raises(UserError) as caught:
        prepared(files)
    assert str(caught.value) == (
        f"1 of 6 image files are bad: {files[4]}: is not there; mend or remove them, or raise "
        "allowed_bad (now 0) to leave them out"
    )
    gone = prepared(files, allowed_bad=0.2)
    assert gone.table["reason"].tolist() == [""] * 4 + ["is not there", ""]
    Image.fromarray(np.full((50, 50), 99, np.uint8)).save(files[4])
    assert not prepared(files, allowed_bad=0.2).table["bad"].any()


def test_no_files_and_files_named_twice_are_refused(files):
    with pytest.raises(
        UserError, match="there are no images to prepare; check the data set's root"
    ):
        prepared_images([], OPTIONS, cache=files[0].parent, progress=SilentProgress())
    with pytest.raises(ValueError, match="a file stands twice"):
        prepared([*files, files[0]])
