"""Folders of images as people have them, and what they are taken for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging.recognition.patient_names import BEFORE_LAST, WORDS, told_by
from xaibench.imaging.recognition.recognise import recognise


def draw(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(root / path)
    return root


def said(lines) -> str:
    return "\n".join(lines)


def test_two_folders_are_two_classes_and_patients_are_not_known(tmp_path):
    guess = recognise(draw(tmp_path / "my", *(f"{c}/{n}.png" for c in "ab" for n in range(3))))
    assert guess.settings == {"use": "image_folder", "root": (tmp_path / "my").as_posix()}
    assert "classes: a, b, the folders of" in said(guess.took)
    assert "nobody says which patient" in said(guess.unsure)


def test_folders_of_splits_are_told_and_those_of_no_split(tmp_path):
    draw(tmp_path, *(f"{s}/{c}/1.png" for s in ("train", "test") for c in "ab"), "old/a/1.png")
    guess = recognise(tmp_path)
    assert "splits: test, train, folders too" in said(guess.took)
    assert "left out, as of no split: old" in said(guess.unsure)


def test_masks_beside_the_images_are_no_class(tmp_path):
    paths = [f"{kind}/{c}/{n}.png" for kind in ("images", "masks") for c in "ab" for n in range(2)]
    guess = recognise(draw(tmp_path, *paths))
    assert guess.settings["root"] == (tmp_path / "images").as_posix()
    assert guess.settings["masks"] == (tmp_path / "masks").as_posix()
    assert guess.masked


def test_patients_of_names_are_taken_and_said_to_be_unsure(tmp_path):
    paths = [f"{c}/{c}{p}_{n}.png" for c in "ab" for p in range(8) for n in range(2)]
    guess = recognise(draw(tmp_path, *paths))
    assert "patient" in guess.settings
    assert "a/a0_0.png and a/a0_1.png are of a0." in said(guess.unsure)


@pytest.mark.parametrize(
    "names",
    {
        "numbers alone": [f"{n}.png" for n in range(40)],
        "one word before them": [f"img_{n}.png" for n in range(40)],
        "one each": [f"p{n}_0.png" for n in range(40)],
        "few": [f"p{n % 4}_{n}.png" for n in range(40)],
        "some without": [f"p{n // 2}_{n}.png" for n in range(40)] + ["x.png"],
    }.items(),
    ids=lambda item: item[0],
)
def test_names_that_tell_no_patient_are_not_taken(names):
    assert not any(told_by(pattern, names[1]) for pattern in (WORDS, BEFORE_LAST))


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        ([], "has no images, no table and no arrays"),
        (["1.png", "2.png"], "has 2 images, but nothing says what they show; put them in a folder"),
        (["only/1.png"], "has 1 images, but nothing says what they show"),
    ],
)
def test_what_tells_nothing_is_refused(tmp_path, paths, why):
    with pytest.raises(UserError, match=why):
        recognise(draw(tmp_path, *paths))


def test_a_place_that_is_not_there_and_a_file_of_no_known_kind(tmp_path):
    with pytest.raises(UserError, match="none is not there"):
        recognise(tmp_path / "none")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(UserError, match="neither a table nor arrays by its name"):
        recognise(tmp_path / "a.doc")


def test_a_table_beside_folders_of_classes_is_mentioned(tmp_path):
    draw(tmp_path, *(f"{c}/{n}.png" for c in "ab" for n in range(3)))
    (tmp_path / "labels.csv").write_text("path,label\na/1.png,x\n")
    guess = recognise(tmp_path)
    assert guess.settings["use"] == "image_folder"
    assert "labels.csv lies there too" in said(guess.unsure)


def test_masks_of_no_image_are_left_out(tmp_path):
    paths = [f"images/{c}/{n}.png" for c in "ab" for n in range(2)]
    guess = recognise(draw(tmp_path, *paths, "masks/lungs/a.png"))
    assert "masks" not in guess.settings
    assert "masks has no file of an image's name; masks is left out" in said(guess.unsure)


def test_patients_of_names_that_are_in_two_splits_are_not_taken(tmp_path):
    paths = [f"{s}/{c}/{c}{p}_{s}.png" for s in ("train", "test") for c in "ab" for p in range(8)]
    guess = recognise(draw(tmp_path, *paths))
    assert "patient" not in guess.settings
    assert "were of a0, but then some would be in two splits" in said(guess.unsure)


def test_folders_that_are_called_patients_are_some(tmp_path):
    paths = [f"{c}/Patient{p}/{n}.png" for c in "ab" for p in range(20) for n in range(2)]
    guess = recognise(draw(tmp_path, *paths))
    assert guess.settings["patient"] == WORDS
    assert "a/Patient0/0.png and a/Patient0/1.png are of Patient0." in said(guess.unsure)
