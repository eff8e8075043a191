"""NIH's tables: findings and boxes as they are written, and every mistake named by its line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xaibench.errors import UserError
from xaibench.imaging.layouts.nih import (
    BOXES,
    ENTRIES,
    FINDINGS,
    LISTS,
    finding_table,
    read_boxes,
    read_entries,
    read_lists,
)

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


@pytest.fixture
def entries(tmp_path):
    def read(*rows: str, header: str = HEADER, name: str = ENTRIES[0]):
        file = tmp_path / name
        file.write_text("\n".join([header, *rows]) + "\n")
        return read_entries(file)

    return read


@pytest.fixture
def boxes(tmp_path):
    def read(*rows: str, header: str = BOX_HEADER):
        file = tmp_path / BOXES
        file.write_text("\n".join([header, *rows]) + "\n")
        return read_boxes(file)

    return read


def entry(image: str = "00000001_000.png", found: str = "No Finding", patient: str = "1") -> str:
    return f"{image},{found},0,{patient},57,M,PA,2682,2749,0.143,0.143,"


def test_findings_are_read_and_other_columns_kept(entries):
    table = entries(
        entry(found="Cardiomegaly|Emphysema"),
        entry("00000001_001.png", "No Finding"),
        entry("00000002_000.png", "Pleural_Thickening", "2"),
    )
    assert table["image"].tolist() == ["00000001_000.png", "00000001_001.png", "00000002_000.png"]
    assert table["patient"].tolist() == ["1", "1", "2"]
    shown = [[name for name in FINDINGS if row[name]] for _, row in table.iterrows()]
    assert shown == [["Cardiomegaly", "Emphysema"], [], ["Pleural_Thickening"]]
    assert table["Patient Age"].tolist() == ["57"] * 3
    assert table["OriginalImage[Width"].tolist() == ["2682"] * 3


def test_the_2020_edition_and_three_columns_are_enough(entries):
    newer = HEADER.replace("Gender", "Sex").rstrip(",")
    assert entries(entry().rstrip(","), header=newer, name=ENTRIES[1])["Patient Sex"][0] == "M"
    plain = entries("7,a.png,Mass", header="Patient ID,Image Index,Finding Labels")
    assert plain.loc[0, ["image", "patient", "Mass"]].tolist() == ["a.png", "7", True]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (
            [entry()],
            "Image Index,Finding Labels,x",
            "lacks the column 'Patient ID'; has",
        ),
        ([], "", r"cannot be read as a table \(it is empty\)"),
        ([], HEADER, "it has no row below its header"),
        ([entry(), entry("b.png", found="")], HEADER, ":3: 'Finding Labels' is empty"),
        ([entry(patient=" ")], HEADER, ":2: 'Patient ID' is empty"),
        ([entry("")], HEADER, ":2: 'Image Index' is empty"),
        ([entry(), "", entry()], HEADER, ":4: 00000001_000.png stands in line 2 already"),
        ([entry(found="Efusion")], HEADER, ":2: unknown finding 'Efusion' .*mean 'Effusion'"),
        ([entry(found="No Finding|Mass")], HEADER, ":2: .* has 'No Finding' beside findings"),
    ],
)
def test_a_mistake_in_the_table_is_named_by_its_line(entries, tmp_path, rows, header, message):
    with pytest.raises(UserError, match=message) as caught:
        entries(*rows, header=header)
    assert str(tmp_path / ENTRIES[0]) in str(caught.value)


def test_a_table_that_is_no_text_is_named(tmp_path):
    (tmp_path / ENTRIES[0]).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as a table"):
        read_entries(tmp_path / ENTRIES[0])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (BOX_HEADER, "a.png,Infiltrate,225.5,547.25,86.75,79.125,,,"),
        ("Image Index,Finding Label,Bbox [x,y,w,h]", "a.png,Infiltrate,225.5,547.25,86.75,79.125"),
        (
            'Image Index,Finding Label,"Bbox [x, y, w, h]"',
            'a.png,Infiltrate,"[225.5, 547.25, 86.75, 79.125]"',
        ),
        ("Image Index,Finding Label,Bbox", "a.png,Infiltrate,225.5 547.25 86.75 79.125"),
    ],
)
def test_boxes_are_read_from_one_column_or_four_and_infiltrate_is_mapped(boxes, header, row):
    table = boxes(row, header=header)
    assert table.to_dict("records") == [
        {"image": "a.png", "finding": "Infiltration", "x": 225.5, "y": 547.25, "w": 86.75,
         "h": 79.125}
    ]  # fmt: skip


def test_a_list_may_hold_no_box(boxes):
    assert list(boxes().columns) == ["image", "finding", "x", "y", "w", "h"]
    assert boxes().empty


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,Efusion,1,2,3,4", ":2: unknown finding 'Efusion' of a.png.*mean 'Effusion'"),
        ("a.png", ":2: unknown finding ''"),
        ("a.png,Mass,1,2,3", ":2: the box of a.png must be four numbers .* is 1, 2, 3"),
        ("a.png,Mass,1,2,3,x", ":2: the box of a.png must be four numbers"),
        ("a.png,Mass,1,2,nan,4", ":2: the box of a.png must be four numbers"),
        ("a.png,Mass,1,2,0,4", ":2: .* with w and h above 0"),
        ("a.png,Mass,,,,", ":2: .* is empty"),
        ("a.png,Mass,1024,2,3,4", ":2: the box of a.png lies outside of 1024x1024 pixels"),
        ("a.png,Mass,-9,2,3,4", ":2: the box of a.png lies outside"),
    ],
)
def test_a_wrong_box_is_named_by_its_line(boxes, row, message):
    with pytest.raises(UserError, match=message):
        boxes(row)


def test_a_list_of_other_columns_is_refused(boxes):
    with pytest.raises(UserError, match=r"must begin with .*; begins with Image, Label"):
        boxes(header="Image,Label")


def test_the_table_of_findings_counts_images_and_patients(entries):
    table = finding_table(
        entries(
            entry("a.png", "Mass", "1"),
            entry("b.png", "Mass|Hernia", "1"),
            entry("c.png", "Mass", "2"),
            entry("d.png", "No Finding", "2"),
        )
    )
    assert table.index.tolist() == [*FINDINGS, "No Finding"]
    wanted = {"Mass": (3, 2, 0.75), "Hernia": (1, 1, 0.25), "No Finding": (1, 1, 0.25)}
    for name, row in table.iterrows():
        assert tuple(row) == wanted.get(name, (0, 0, 0.0))
    assert table["images"].dtype == table["patients"].dtype == np.int64


def test_the_official_lists_say_the_split(tmp_path):
    (tmp_path / LISTS["train"]).write_text("a.png\nb.png\nelsewhere.png\n")
    with pytest.raises(UserError, match=r"has no test_list.txt; add them, or set splits to pat"):
        read_lists(tmp_path, ["a.png"])
    (tmp_path / LISTS["test"]).write_text("c.png\n")
    said = read_lists(tmp_path, ["c.png", "a.png", "b.png"])
    assert said.equals(pd.Series({"c.png": "test", "a.png": "train", "b.png": "train"}))
    with pytest.raises(UserError, match=r"2 images stand in neither .*: x.png, y.png; set splits"):
        read_lists(tmp_path, ["a.png", "y.png", "x.png"])
    (tmp_path / LISTS["test"]).write_text("c.png\nb.png\n")
    with pytest.raises(UserError, match=r"b.png stands in both train_val_list.txt and test_list"):
        read_lists(tmp_path, ["a.png"])
