"""Pictures that keep their size, and files of several pictures, prepared as any others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging.image_cache import prepared_images
from xaibench.imaging.image_files import read_grey
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions, prepare
from xaibench.imaging.reading import Reading
from xaibench.progress import SilentProgress

AS_IT_IS = Preprocessing(None, None)
SMALL = Preprocessing(None, ResizeOptions((12, 16)))


def written(folder: Path, *sizes: tuple[int, int]) -> list[Path]:
    files = []
    for number, size in enumerate(sizes):
        noise = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
        files.append(folder / f"{number}.png")
        Image.fromarray(noise).save(files[-1])
    return files


def prepared(files: list[Path], options: Preprocessing = AS_IT_IS, **more: object):
    cache = files[0].parent / "cache"
    return prepared_images(files, options, cache=cache, progress=SilentProgress(), **more)


def test_images_of_one_size_keep_it_and_their_pixels(tmp_path):
    files = written(tmp_path, (20, 30), (20, 30), (20, 30))
    found = prepared(files)
    assert found.images.shape == (3, 20, 30)
    for row, file in enumerate(files):
        assert np.array_equal(found.images[row], read_grey(file))
    mask = read_grey(files[0]) > 128
    assert np.array_equal(found.placement(0).carry_mask(mask), mask)


def test_the_first_that_can_be_read_says_the_size(tmp_path):
    files = written(tmp_path, (9, 9), (20, 30), (20, 30))
    files[0].write_bytes(b"no image")
    found = prepared(files, allowed_bad=0.5)
    assert found.images.shape == (3, 20, 30)
    assert list(found.table["bad"]) == [True, False, False]
    with pytest.raises(UserError, match="1 of 1 image files are bad"):
        prepared(files[:1])


def test_sizes_that_differ_are_counted_and_it_is_said_how_to_mend_it(tmp_path):
    files = written(tmp_path, (20, 31), (20, 30), (20, 30), (30, 20))
    with pytest.raises(UserError) as caught:
        prepared(files)
    assert str(caught.value) == (
        "resize: is null, but images differ in height x width: 2 of 20 x 30, 1 of 20 x 31, 1 of "
        "30 x 20; set resize: {size: [20, 30]}, or another size, to make them one"
    )
    assert list((tmp_path / "cache" / "prepared").iterdir()) == []


def test_of_many_sizes_the_commonest_are_told(tmp_path):
    sizes = [(20, 30 + number) for number in range(7)]
    with pytest.raises(UserError, match="1 of 20 x 33 and 3 more sizes; set resize:"):
        prepared(written(tmp_path, *sizes))


@pytest.mark.parametrize("size", [(7, 30), (30, 7), (8, 4097)])
def test_a_size_that_no_resize_may_have_is_refused(tmp_path, size):
    with pytest.raises(UserError, match=rf"0.png is {size[0]} x {size[1]} pixels; a side has 8 to"):
        prepared(written(tmp_path, size))


def cine(file: Path, count: int) -> list[np.ndarray]:
    pictures = [
        np.random.default_rng(number).integers(0, 256, (24, 32), dtype=np.uint8)
        for number in range(count)
    ]
    first, *rest = map(Image.fromarray, pictures)
    first.save(file, save_all=True, append_images=rest)
    return pictures


def test_pictures_of_several_files_keep_their_rows(tmp_path):
    first, second = tmp_path / "a.tif", tmp_path / "b.tif"
    pictures = {first: cine(first, 3), second: cine(second, 2)}
    files, frames = [first, second, first, second], [2, 1, 0, 0]
    found = prepared(files, SMALL, frames=frames)
    for row, (file, frame) in enumerate(zip(files, frames, strict=True)):
        assert np.array_equal(found.images[row], prepare(pictures[file][frame], SMALL).image)
    assert list(found.table["frame"]) == frames
    assert prepared(files, SMALL, frames=[2, 0, 0, 1]).key != found.key
    with pytest.raises(ValueError, match="a file stands twice"):
        prepared([first, first], SMALL, frames=[1, 1])


def test_all_pictures_of_a_bad_file_are_bad_and_black_and_it_counts_once(tmp_path):
    files = [tmp_path / name for name in ("a.tif", "b.tif", "c.tif")]
    for file in files:
        cine(file, 2)
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2 + 300])  # its first picture can be read
    asked = {"frames": [0, 1] * 3, "options": SMALL}
    rows = [file for file in files for _ in range(2)]
    with pytest.raises(UserError, match="1 of 3 image files are bad"):
        prepared(rows, **asked)
    for _ in range(2):  # made, and found again
        found = prepared(rows, **asked, allowed_bad=0.34)
        assert list(found.table["bad"]) == [False, False, True, True, False, False]
        assert not found.images[2:4].any()
        assert found.images[:2].any()


def test_a_reading_makes_a_key_of_its_own_only_where_it_is_another(tmp_path):
    files = [tmp_path / "a.tif"]
    cine(files[0], 3)
    asked = [
        {"frames": "first"},
        {"frames": "middle"},
        {"frames": "first", "unwindowed": "present"},
    ]
    keys = [prepared(files, SMALL, reading=Reading(**each)).key for each in asked]
    assert len(set(keys)) == 3


def test_what_was_prepared_before_there_were_frames_is_found_again(tmp_path):
    """The key of one set as it was: readings of their defaults are not in it."""
    file = tmp_path / "one.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file)
    found = prepared([file], Preprocessing(None, ResizeOptions(8)))
    recipe = found_recipe(tmp_path / "cache" / "prepared" / found.key)
    assert recipe["reading"] == {"colour": False, "bits": None}


def found_recipe(folder: Path) -> dict:
    return json.loads((folder / "recipe.json").read_text())
