"""The same letters in another form are the same file; what is alike is named."""

from __future__ import annotations

import unicodedata

import pytest

from xaibench.imaging.spelling import alike, as_spelled

ONE, TWO = (unicodedata.normalize(form, "Bild é/Ä.png") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("on_disk", "in_table"), [(ONE, TWO), (TWO, ONE), (ONE, ONE)])
def test_either_form_of_letters_finds_the_file(tmp_path, on_disk, in_table):
    assert ONE != TWO
    file = tmp_path / on_disk
    file.parent.mkdir()
    file.touch()
    if not (tmp_path / TWO).exists() or not (tmp_path / ONE).exists():  # but where both are one
        assert as_spelled(tmp_path, in_table) == on_disk


def test_of_two_files_each_is_itself(tmp_path):
    for name in ("é.png", unicodedata.normalize("NFD", "é.png")):
        (tmp_path / name).touch()
        assert as_spelled(tmp_path, name) == name


@pytest.mark.parametrize("name", ["a.png", "ü.png", "ü" * 400 + ".png"])
def test_what_is_not_there_stays_as_it_is(tmp_path, name):
    assert as_spelled(tmp_path, name) == name


@pytest.mark.parametrize(
    ("asked", "found"),
    [("img_1.png", "IMG_1.PNG"), ("IMG_1.jpg", "IMG_1.PNG"), ("IMG_1", "IMG_1.PNG"), ("x", None)],
)
def test_a_name_alike_is_told(tmp_path, asked, found):
    (tmp_path / "IMG_1.PNG").touch()
    (tmp_path / "IMG_12.PNG").touch()
    assert alike(tmp_path / asked) == found


def test_in_a_folder_that_is_not_there_nothing_is_alike(tmp_path):
    assert alike(tmp_path / "nowhere" / "a.png") is None
