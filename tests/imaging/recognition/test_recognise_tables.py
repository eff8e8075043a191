"""Tables as people have them: columns are told by their names and values."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging.recognition.recognise import recognise

ROWS = 12


@pytest.fixture
def write(tmp_path):
    """Write a table and its images; ``{}`` in a cell is the row's number, a list its values."""

    def make(columns: dict[str, object], images: str = "images/{}.png", rows: int = ROWS) -> Path:
        lines = [";".join(columns)]
        for at in range(rows):
            cells = [
                c.format(at) if isinstance(c, str) else str(c[at % len(c)])
                for c in columns.values()
            ]
            lines.append(";".join(cells))
            file = tmp_path / images.format(at)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), at).save(file)
        table = tmp_path / "labels.csv"
        table.write_text("\n".join(lines))
        return table

    return make


def said(lines) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("cell", "images", "root", "pattern"),
    [
        ("{}.png", "{}.png", ".", None),
        ("{}.png", "images/{}.png", "images", None),
        ("images/{}.png", "images/{}.png", ".", None),
        ("/home/me/images/{}.png", "images/{}.png", ".", None),
        ("Set-1.0/images/{}.png", "images/{}.png", ".", None),
        ("C:\\me\\{}.png", "images/{}.png", "images", None),
        ("images\\{}.png", "images/{}.png", ".", None),
        ("{}", "a/b/{}.tif", "a/b", "{}.tif"),
        ("{}", "images/case_{}.png", "images", "case_{}.png"),
    ],
)
def test_images_are_found_however_the_table_names_them(
    tmp_path, write, cell, images, root, pattern
):
    guess = recognise(write({"label": ["a", "b"], "who": cell}, images))
    assert guess.settings["path"] == "who"
    assert Path(guess.settings["root"]) == tmp_path / root
    assert guess.settings.get("file") == pattern
    assert guess.settings["label"] == "label"


def test_of_two_columns_that_are_found_the_one_that_tells_images_apart_is_taken(write):
    columns = {"number": ["1", "2", "3"], "name": "{}", "file": "img_{}.png", "label": ["a", "b"]}
    assert recognise(write(columns, "img_{}.png")).settings["path"] == "file"


def test_a_folder_with_a_table_is_the_table(write):
    table = write({"id": "{}", "label": ["0", "1"]}, "train/{}.tif")
    assert recognise(table.parent).settings == recognise(table).settings


def test_images_elsewhere_are_named(tmp_path, write):
    table = write({"id": "{}", "label": ["0", "1"]})
    moved = tmp_path / "sub" / "labels.csv"
    moved.parent.mkdir()
    table.rename(moved)
    with pytest.raises(UserError, match=r"there are no images below .*; say --images DIR"):
        recognise(moved)
    guess = recognise(moved, tmp_path)
    assert guess.settings["table"] == moved.as_posix()


def test_patients_splits_and_boxes_are_told(write):
    columns = {"Image Index": "{}.png", "Patient ID": ["p", "q", "r"], "fold": ["train", "test"]}
    columns |= {"x": [1], "y": [2], "w": [3], "h": [4], "Finding Labels": ["Mass", "None"]}
    guess = recognise(write(columns))
    assert guess.settings["group"] == "Patient ID"
    assert guess.settings["split"] == "fold"
    assert guess.settings["boxes"] == ["x", "y", "w", "h"]
    assert guess.settings["label"] == "Finding Labels"
    assert guess.unsure == []


def test_columns_of_0_and_1_are_labels_and_others_are_not(write):
    columns = {"file": "{}.png", "patient": ["p", "q"], "Sex": ["M", "F"], "Age": ["{}"]}
    columns |= {"Edema": ["0", "1", "1"], "Mass": ["1.0", "0.0"]}
    guess = recognise(write(columns))
    assert guess.settings["labels"] == ["Edema", "Mass"]
    assert "label" not in guess.settings
    assert guess.unsure == []


def test_labels_that_are_uncertain_or_missing_are_said_to_be(write):
    columns = {"file": "{}.png", "Edema": ["0", "1", "-1"], "Mass": ["1", "0", "", "1"]}
    guess = recognise(write(columns))
    assert (guess.settings["uncertain"], guess.settings["missing"]) == ("ignore", "ignore")
    assert "missing: ignore counts it neither way" in said(guess.unsure)


def test_one_1_in_each_row_may_be_classes(write):
    guess = recognise(write({"file": "{}.png", "MEL": ["1", "0"], "NV": ["0", "1"]}))
    assert guess.settings["labels"] == ["MEL", "NV"]
    assert "just one 1" in said(guess.unsure)


def test_a_list_in_a_cell_has_its_separator(write):
    guess = recognise(write({"file": "{}.png", "findings": ["Edema|Mass", "Mass", "Edema"]}))
    assert guess.settings["separator"] == "|"
    assert "labels: lists in 'findings' of Edema, Mass" in said(guess.took)


def test_a_class_whose_name_has_a_comma_is_no_list(write):
    values = ["carcinoma, basal cell", "nevus, blue"]
    assert "separator" not in recognise(write({"file": "{}.png", "dx": values})).settings


def test_many_numbers_are_a_regression(write):
    guess = recognise(write({"file": "{}.png", "target": "{}.5"}, rows=40))
    assert guess.regression
    assert guess.settings["regression"] is True
    assert "a regressor is trained" in said(guess.unsure)


def test_of_several_columns_that_may_be_the_label_the_others_are_named(write):
    guess = recognise(write({"file": "{}.png", "a": ["x", "y"], "b": ["u", "v", "w"]}))
    assert guess.settings["label"] == "a"
    assert "label: might be b as well" in said(guess.unsure)
    columns = {"file": "{}.png", "label": ["x", "y"], "b": ["0", "1"], "c": ["1", "0"]}
    guess = recognise(write(columns))
    assert guess.settings["label"] == "label"
    assert "labels: [b, c]" in said(guess.unsure)


def test_rows_without_an_image_are_counted(tmp_path, write):
    table = write({"file": "{}.png", "label": ["a", "b"]})
    (tmp_path / "images" / "3.png").unlink()
    guess = recognise(table)
    assert guess.settings["allowed_bad"] == pytest.approx(0.084)
    assert "1 rows have no image, such as '3.png'" in said(guess.unsure)


def test_images_in_several_folders_are_named_with_them(tmp_path, write):
    table = write({"file": "{}.png", "label": ["a", "b"]})
    (tmp_path / "more").mkdir()
    for at in range(6):
        (tmp_path / "images" / f"{at}.png").rename(tmp_path / "more" / f"{at}.png")
    (tmp_path / "images" / "6.png").unlink()
    with pytest.raises(
        UserError, match=r"'file' names images that lie in 2 folders \(images, more"
    ):
        recognise(table)


def test_patients_of_the_paths_are_taken(write):
    columns = {"path": "images/case-{}/a.png", "label": ["a", "b"]}
    guess = recognise(write(columns, "images/case-{}/a.png"))
    assert "patient" not in guess.settings  # one image each
    lines = [f"images/case-{at // 2}/{at}.png;x{at % 2}" for at in range(40)]
    table = write(columns)
    for line in lines:
        file = table.parent / line.partition(";")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(file)
    table.write_text("\n".join(["path;label", *lines]))
    assert recognise(table).settings["patient"].startswith("(?i)")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"file": "{}.jpg", "label": ["a", "b"]}, "no column names the 12 images below"),
        ({"file": "{}.png", "note": "text {}"}, "no column says what the images show; has note"),
        ({"file": ["1.png", "2.png"], "label": ["a", "b"]}, "line 4: '1.png' stands there twice"),
        ({"file": "{}.png", "label": ["a", "b"], "patient": ["p", ""]}, "is empty in 6 rows"),
    ],
)
def test_what_cannot_be_told_is_refused(write, columns, why):
    with pytest.raises(UserError, match=why):
        recognise(write(columns))
