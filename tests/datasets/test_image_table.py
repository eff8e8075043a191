"""One's own images with a table: columns, labels of every kind, groups, splits, boxes, masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from heard import Heard

from xaibench.datasets.image_table import ImageTable
from xaibench.errors import UserError
from xaibench.imaging.preprocess import ResizeOptions
from xaibench.phantoms.own_pictures import SIDE, draw_table
from xaibench.progress import SilentProgress


@pytest.fixture
def root(tmp_path) -> Path:
    return draw_table(tmp_path / "own")


def rows(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "table.csv", dtype=str)


def opened(root: Path, written: pd.DataFrame | None = None, progress=None, **settings):
    if written is not None:
        written.to_csv(root / "table.csv", index=False)
    settings = {"resize": ResizeOptions(SIDE), "table": Path("table.csv"), **settings}
    dataset = ImageTable(root=root, **settings)
    cache = root.parent / "cache"
    return dataset.open(seed=0, cache=cache, progress=progress or SilentProgress())


def labels_by_id(data) -> dict:
    return {
        name: label
        for split in data.splits.values()
        for name, label in zip(split.ids, split.labels, strict=True)
    }


def test_a_column_of_classes(root):
    data = opened(root, label="class", group="patient")
    assert (data.name, data.task, data.classes) == ("own", "binary", ("normal", "square"))
    known = rows(root).set_index("path")
    for split in data.splits.values():
        for name, group, label in zip(split.ids, split.groups, split.labels, strict=True):
            assert known.loc[name, "patient"] == group
            assert known.loc[name, "class"] == data.classes[label]
    assert data.facts["groups_in_two_splits"] == 0
    assert data.facts["uncertain_labels"] == {}


def test_classes_in_the_order_asked_for_and_others_left_out(root):
    table = rows(root)
    table.loc[:3, "class"] = "blurred"
    data = opened(root, table, label="class", classes=("square", "normal"))
    assert data.classes == ("square", "normal")
    assert len(labels_by_id(data)) == 44


def test_several_columns_of_0_and_1(root):
    table = rows(root)
    table["a"] = ["0", "1", "1.0", "-1"] * 12
    table["b"] = ["1", "", "0", "1"] * 12
    settings = {"labels": ("a", "b"), "uncertain": "ignore", "missing": "zero"}
    data = opened(root, table, **settings)
    assert (data.task, data.classes) == ("multilabel", ("a", "b"))
    found = labels_by_id(data)
    for path, a, b in zip(table["path"], table["a"], table["b"], strict=True):
        wanted = [np.nan if a == "-1" else float(a), float(b or 0)]
        np.testing.assert_array_equal(found[path], np.float32(wanted))
    assert data.facts["uncertain_labels"] == {"a": 12, "b": 0}
    assert data.facts["missing_labels"]["train"]["b"] == 0


@pytest.mark.parametrize(
    ("policy", "value"), [("zero", 0.0), ("one", 1.0), ("half", 0.5), ("ignore", np.nan)]
)
def test_what_becomes_of_an_uncertain_label(root, policy, value):
    table = rows(root).assign(a="1", b="0")
    table.loc[5, "a"] = "u"
    found = labels_by_id(opened(root, table, labels=("a", "b"), uncertain=policy))
    np.testing.assert_array_equal(found[table["path"][5]], np.float32([value, 0]))
    left = labels_by_id(opened(root, table, labels=("a", "b"), uncertain="leave_out"))
    assert table["path"][5] not in left
    assert len(left) == 47


def test_a_list_of_names_in_a_cell(root):
    table = rows(root)
    table["found"] = ["Mass|Nodule", "Nodule", "No Finding", "Mass | Edema"] * 12
    data = opened(root, table, label="found", separator="|", classes=("Nodule", "Mass"))
    assert (data.task, data.classes) == ("multilabel", ("Nodule", "Mass"))
    wanted = [[1, 1], [1, 0], [0, 0], [0, 1]] * 12
    found = labels_by_id(data)
    assert [found[path].tolist() for path in table["path"]] == wanted


def test_numbers_are_a_regression(root):
    table = rows(root)
    table["age"] = [f"{at},5" for at in range(48)]  # as a German Excel writes them
    data = opened(root, table, label="age", regression=True)
    assert (data.task, data.classes) == ("regression", ("age",))
    found = labels_by_id(data)
    assert [found[path][0] for path in table["path"]] == [at + 0.5 for at in range(48)]
    assert "positives" not in data.facts  # an age is neither
    for name, split in data.splits.items():
        assert data.facts["means"][name] == {"age": pytest.approx(split.labels.mean())}


def test_files_by_a_pattern(root):
    table = rows(root)
    (root / "images").mkdir()
    for file in root.glob("*.png"):
        file.rename(root / "images" / file.name)
    table["path"] = table["path"].str.removesuffix(".png")
    data = opened(root, table, label="class", file="images/{}.png")
    assert set(labels_by_id(data)) == {f"images/{cell}.png" for cell in table["path"]}


@pytest.mark.parametrize("lead", ["/home/me/scans/", "C:\\\\scans\\\\", "../../x/../", "old/"])
def test_the_folders_of_another_computer_are_left_out(root, lead):
    table = rows(root)
    table["path"] = lead + table["path"]
    heard = Heard()
    data = opened(root, table, heard, label="class")
    assert set(labels_by_id(data)) == {path.name for path in root.glob("*.png")}
    said = [line for line in heard.lines if "are not below" in line]
    assert len(said) == (".." not in lead)


def test_files_are_found_by_name_in_any_folder(root):
    for at, file in enumerate(sorted(root.glob("*.png"))):
        (root / f"part_{at % 3}").mkdir(exist_ok=True)
        file.rename(root / f"part_{at % 3}" / file.name)
    data = opened(root, label="class", file="**/{}")
    assert len(labels_by_id(data)) == 48
    assert {path.split("/")[0] for path in labels_by_id(data)} == {"part_0", "part_1", "part_2"}
    copy = root / "copy" / "p00_0.png"
    copy.parent.mkdir()
    copy.write_bytes((root / "part_0" / "p00_0.png").read_bytes())
    with pytest.raises(UserError, match=r"p00_0.png lies in two places, .*; remove the copy"):
        opened(root, label="class", file="**/{}")
    copy.rename(copy.with_name("nobody's.png"))  # no row names it
    assert len(labels_by_id(opened(root, label="class", file="**/{}"))) == 48


def test_a_path_never_leads_out_of_the_root(root):
    (root.parent / "secret.png").write_bytes((root / "p00_0.png").read_bytes())
    for path in ("../secret.png", str(root.parent / "secret.png")):
        table = rows(root)
        table.loc[3, "path"] = path
        with pytest.raises(UserError, match="is not there"):
            opened(root, table, label="class")


def test_splits_of_a_column(root):
    table = rows(root)
    number = table["patient"].str[1:].astype(int)
    table["part"] = np.where(number % 3 == 0, "TEST", np.where(number % 3 == 1, "val", "train"))
    data = opened(root, table, label="class", group="patient", split="part")
    for split, rest in (("test", 0), ("valid", 1), ("train", 2)):
        assert {int(g[1:]) % 3 for g in data.splits[split].groups} == {rest}


def test_only_some_rows(root):
    table = rows(root).assign(View=["PA", "AP", "lateral", "PA"] * 12)
    data = opened(root, table, label="class", only={"View": ("PA", "AP")})
    assert len(labels_by_id(data)) == 36
    assert data.facts["table_rows"] == 48


@pytest.mark.parametrize("apart", [False, True], ids=["one box", "two boxes"])
def test_boxes_are_evidence(root, apart):
    table = rows(root)
    if apart:  # a second box for one image, in a row of its own
        more = table[table["path"] == "p12_0.png"].assign(x="0", y="0", w="3", h="2")
        table = pd.concat([table, more])
    data = opened(root, table, label="class", group="patient", boxes=("x", "y", "w", "h"))
    for split in data.splits.values():
        at = np.arange(len(split))
        found = split.masks(at, split.labels)["evidence"]
        for name, mask, label in zip(split.ids, found, split.labels, strict=True):
            more = 6 * (apart and name == "p12_0.png")
            assert mask.sum() in (64 * label + more, 64 * label + more - 4, 64 * label + more - 6)
            if more:
                assert mask[:2, :3].all()
        assert not split.masks(at, 1 - split.labels)["evidence"].any()


def test_a_name_that_is_longer_than_any_is_told_in_the_first_row(root):
    table = rows(root)
    table.loc[0, "path"] = f"{'a' * 500}.png"
    with pytest.raises(UserError, match=r"cannot be read \(File name too long\) \(line 2 of"):
        opened(root, table, label="class")


def test_boxes_and_images_of_a_shape_go_together(root):
    """16 x 24 of 24 x 24 is the middle, one to one: rows are 4 less, columns as they were."""
    boxes = rows(root).set_index("path")[["x", "y", "w", "h"]].astype(float)
    data = opened(root, label="class", boxes=("x", "y", "w", "h"), resize=ResizeOptions((16, 24)))
    assert data.size == (16, 24)
    for split in data.splits.values():
        found = split.masks(np.arange(len(split)), split.labels)["evidence"]
        for name, mask, label in zip(split.ids, found, split.labels, strict=True):
            wanted = np.zeros((16, 24), bool)
            if label:
                x, y, w, h = boxes.loc[name].astype(int)
                wanted[max(y - 4, 0) : max(y + h - 4, 0), x : x + w] = True
            assert np.array_equal(mask, wanted)


def test_a_column_of_masks(root, tmp_path):
    from PIL import Image

    table = rows(root)
    (root / "m").mkdir()
    shown = table["class"] == "square"
    table["where"] = ("m/" + table["path"]).where(shown, "")
    for cell in table["where"][table["where"] != ""]:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[2:4, 5:9] = 1
        Image.fromarray(mask).save(root / cell)
    data = opened(root, table, label="class", mask="where")
    split = data.splits["train"]
    found = split.masks(np.arange(len(split)), split.labels)["evidence"]
    assert (found.sum((1, 2)) == 8 * split.labels).all()
    assert found[split.labels == 1][:, 2:4, 5:9].all()


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        ({}, {}, "label: name one column of labels, or several as labels, not both"),
        ({}, {"label": "class", "labels": ("class",)}, "not both"),
        ({}, {"label": "clas"}, "lacks the column 'clas'"),
        ({}, {"label": "class", "table": None}, "table: is missing; name the file"),
        ({}, {"label": "class", "table": Path("no.csv")}, "no.csv"),
        ({}, {"label": "class", "file": "images"}, "file: 'images' has no {} for the cell"),
        (
            {},
            {"label": "class", "separator": "|", "regression": True},
            "separator: is of the",
        ),
        (
            {},
            {"label": "class", "regression": True},
            "'class' is 'normal'; must be a number",
        ),
        (
            {},
            {"labels": ("class",)},
            "table.csv:2: 'class' is 'normal'; must be 0, 1, empty or -1 or u",
        ),
        ({}, {"label": "class", "classes": ("normal", "sqaure")}, "'sqaure' in 'class'; allowed"),
        ({}, {"label": "class", "only": {"class": ("x",)}}, "no row whose 'class' is x; allowed"),
        ({}, {"label": "path"}, None),
        ({"class": "one"}, {"label": "class"}, "label: 'class' is 'one' in every row; two are"),
        (
            {(3, "class"): ""},
            {"label": "class"},
            "table.csv:5: 'class' is empty, and an image of one",
        ),
        (
            {(3, "class"): "u"},
            {"label": "class"},
            "table.csv:5: 'class' is 'u', and an",
        ),
        ({(3, "path"): ""}, {"label": "class"}, "table.csv:5: has nothing in 'path'; fill it in"),
        ({(3, "path"): "../x.png"}, {"label": "class"}, "own/x.png: is not there (line 5"),
        (
            {(3, "path"): "p00_0.png"},
            {"label": "class"},
            "table.csv:5: p00_0.png stands in the table",
        ),
        ({(3, "path"): "no.png"}, {"label": "class"}, "no.png: is not there (line 5 of table.csv)"),
        (
            {(3, "patient"): ""},
            {"label": "class", "group": "patient"},
            "table.csv:5: has nothing in 'patient'",
        ),
        ({"s": "trian"}, {"label": "class", "split": "s"}, "'trian'; allowed: test"),
        ({"s": "train"}, {"label": "class", "split": "s"}, "split: 's' names no row of test"),
        ({"a": "1"}, {"labels": ("a", "a2")}, "lacks the column 'a2'"),
        ({}, {"label": "class", "patient": "(x)"}, "patient: '(x)' finds nothing in 48 of 48"),
        (
            {},
            {"label": "class", "mask": "x", "boxes": ("x", "y", "w", "h")},
            "boxes: and mask",
        ),
    ],
)
def test_what_cannot_be_is_told(root, change, settings, said):
    table = rows(root)
    for where, value in change.items():
        if isinstance(where, tuple):
            table.loc[where] = value
        else:
            table[where] = value
    if said is None:  # every path is a class of its own: many, but that may be
        assert len(opened(root, table, **settings).classes) == 48
        return
    with pytest.raises(UserError) as caught:
        opened(root, table, **settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
