"""Files of one picture or several, image or DICOM, in grey or colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import write
from PIL import Image

from xaibench.imaging import picture_files
from xaibench.imaging.dicom import read_dicom
from xaibench.imaging.image_files import BadImage
from xaibench.imaging.picture_files import (
    count_pictures,
    find_pictures,
    read_picture,
    read_pictures,
)
from xaibench.imaging.reading import Reading

RNG = np.random.default_rng(0)
LEVELS = (0, 60, 120, 200)
TESTS = Path(pydicom.__file__).parent / "data" / "test_files"


def several(folder: Path, ending: str, levels=LEVELS) -> Path:
    """A file of pictures of one grey each."""
    pictures = [np.full((8, 10), level, np.uint8) for level in levels]
    file = folder / f"several.{ending}"
    if ending == "dcm":
        return write(file, np.stack(pictures))
    first, *rest = map(Image.fromarray, pictures)
    lossless = {"lossless": True} if ending == "webp" else {}
    first.save(file, save_all=True, append_images=rest, **lossless)
    return file


@pytest.mark.parametrize("ending", ["dcm", "tif", "gif", "png", "webp"])
def test_one_of_several_pictures_is_named(tmp_path, ending):
    file = several(tmp_path, ending)
    shown = lambda frames: int(read_picture(file, Reading(frames=frames)).max())
    assert count_pictures(file) == 4
    assert (shown("first"), shown("middle")) == (0, 120)
    for frames in ("error", "all"):
        with pytest.raises(BadImage, match="holds 4 pictures; save the one that is meant, or set"):
            shown(frames)
    found = [int(picture.max()) for picture in read_pictures(file, Reading(), [3, 0, 2])]
    assert found == [200, 0, 120]
    with pytest.raises(BadImage):
        list(read_pictures(file, Reading(), [4]))


@pytest.mark.parametrize("ending", ["dcm", "tif"])
def test_the_middle_of_three_is_the_second(tmp_path, ending):
    file = several(tmp_path, ending, LEVELS[:3])
    assert read_picture(file, Reading(frames="middle")).max() == 60


@pytest.mark.parametrize("frames", ["error", "first", "middle", "all"])
def test_of_one_picture_there_is_nothing_to_choose(tmp_path, frames):
    Image.fromarray(np.full((8, 10), 70, np.uint8)).save(tmp_path / "one.png")
    assert (read_picture(tmp_path / "one.png", Reading(frames=frames)) == 70).all()


def test_many_frames_are_read_in_parts(tmp_path, monkeypatch):
    frames = RNG.integers(0, 256, (7, 8, 10), np.uint8)
    file = write(tmp_path / "x.dcm", frames)
    monkeypatch.setattr(picture_files, "_AT_ONCE", 2 * 8 * 10)
    assert np.array_equal(list(read_pictures(file, Reading(), range(7))), frames)


def test_dicom_of_colour_in_grey_is_its_luma_and_of_grey_in_colour_its_copies(tmp_path):
    colour = RNG.integers(0, 256, (8, 10, 3), np.uint8)
    file = write(tmp_path / "x.dcm", colour)
    grey = read_picture(file, Reading())
    assert np.abs(grey - colour @ [0.299, 0.587, 0.114]).max() <= 0.51
    assert np.array_equal(read_picture(file, Reading(colour=True)), colour)
    write(file, grey)
    assert np.array_equal(read_picture(file, Reading()), grey)
    assert np.array_equal(read_picture(file, Reading(colour=True)), np.stack([grey] * 3, -1))


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm"])
def test_a_file_without_a_window_spans_what_is_asked_for(name):
    with pytest.raises(BadImage, match="unwindowed: present spans the values that are there"):
        read_picture(TESTS / name, Reading())
    shown = read_picture(TESTS / name, Reading(unwindowed="present"))
    assert np.array_equal(shown, read_dicom(TESTS / name, unwindowed="present")[0])
    assert (shown.min(), shown.max()) == (0, 255)


def test_frames_of_a_bundled_cine_are_those_that_pydicom_numbers():
    file = TESTS / "examples_ybr_color.dcm"
    whole = read_dicom(file)
    assert count_pictures(file) == len(whole) == 30
    colour = Reading(colour=True, frames="middle")
    assert np.array_equal(read_picture(file, colour), whole[15])
    assert not np.array_equal(whole[15], whole[0])


def test_what_is_no_picture_counts_as_one(tmp_path):
    for name in ("x.dcm", "x.png"):
        (tmp_path / name).write_bytes(b"nothing")
        assert count_pictures(tmp_path / name) == 1


def test_images_and_dicom_are_found_together_and_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "1.2.840.7", RNG.integers(0, 256, (8, 8), np.uint8))
    wanted = ["a.DCM", "b/1.2.840.7", "b/x.png", "c.dicom", "z.jpg"]
    for name in ("a.DCM", "b/x.png", "c.dicom", "z.jpg", "b/notes", "b/x.txt", "DICOMDIR"):
        (tmp_path / name).touch()
    assert find_pictures(tmp_path) == [tmp_path / name for name in wanted]
