"""CheXpert's tables: labels that are uncertain, missing or between, and the stand-in."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xaibench.datasets.chexpert import Chexpert
from xaibench.errors import UserError
from xaibench.imaging.layouts.chexpert import COMPETITION, FACTS, FINDINGS, table_folder
from xaibench.imaging.layouts.nih import FINDINGS as PHANTOMS
from xaibench.imaging.preprocess import ResizeOptions
from xaibench.phantoms.chexpert import PHANTOM, ChexpertPhantoms
from xaibench.progress import SilentProgress

IMAGES = 60
NAN = float("nan")


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("chexpert") / "set"
    ChexpertPhantoms(root, images=IMAGES, seed=0).write(SilentProgress(), workers=1)
    return root


@pytest.fixture
def opened(tmp_path):
    def open_it(root: Path | None, **options):
        dataset = Chexpert(root=root, **{"resize": ResizeOptions(size=24)} | options)
        return dataset.open(seed=0, cache=tmp_path / "cache", progress=SilentProgress())

    return open_it


@pytest.fixture
def root(tmp_path) -> Path:
    """Twenty patients with a frontal and a lateral image each, and a table in CheXpert's form."""
    root = tmp_path / "chexpert"
    rows, rng = [], np.random.default_rng(0)
    for patient in range(1, 21):
        for number, view in ((1, "frontal"), (2, "lateral")):
            path = f"train/patient{patient:05d}/study1/view{number}_{view}.jpg"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 255, (24, 28), dtype=np.uint8)
            Image.fromarray(noise).save(root / path)
            rows.append([f"CheXpert-v1.0-small/{path}", "Male", 40, view.title(), "AP", "1", "0"])
    table = pd.DataFrame(rows, columns=[*FACTS, "Edema", "Atelectasis"])
    table.to_csv(root / "train.csv", index=False)
    return root


BOTH = ("Edema", "Atelectasis")


def rewrite(root: Path, change, file: str = "train.csv") -> None:
    table = pd.read_csv(root / "train.csv", dtype=str)
    change(table).to_csv(root / file, index=False)


def put(column: str, *values: str):
    """Return a change of a table: the first rows of a column become these."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[: len(values) - 1, column] = values
        return table

    return change


def labels(data) -> dict[str, list[float]]:
    """Return id -> labels over all splits."""
    return {
        i: row.tolist()
        for split in data.splits.values()
        for i, row in zip(split.ids, split.labels, strict=True)
    }


def test_the_table_is_opened(root, opened):
    data = opened(root, findings=BOTH, views="all")
    assert (data.name, data.task, data.classes) == ("chexpert_subset", "regression", BOTH)
    assert (data.channels, data.size) == (3, (24, 24))
    assert sum(data.facts["images"].values()) == 40
    assert data.facts["groups"] == {"train": 16, "valid": 2, "test": 2}
    for split in data.splits.values():
        assert split.labels.dtype == np.float32
        assert split.groups.tolist() == [Path(i).parts[1] for i in split.ids]
        assert split.images(np.arange(2)).shape == (2, 24, 24, 3)
        assert split.masks(np.arange(2), np.zeros(2, int)) == {}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, [1, 0, 0.5, 0.25, NAN, NAN]),
        ({"uncertain": "zero"}, [1, 0, 0.5, 0.25, 0, NAN]),
        ({"uncertain": "one"}, [1, 0, 0.5, 0.25, 1, NAN]),
        ({"uncertain": "half"}, [1, 0, 0.5, 0.25, 0.5, NAN]),
        ({"missing": "zero"}, [1, 0, 0.5, 0.25, NAN, 0]),
        ({"missing": "zero", "uncertain": "one"}, [1, 0, 0.5, 0.25, 1, 0]),
    ],
)
def test_uncertain_and_missing_labels_become_what_the_options_say(root, opened, policy, expected):
    rewrite(root, put("Edema", "1.0", "0", "0.5", ".25", "-1.0", ""))
    data = opened(root, findings=BOTH, views="all", **policy)
    found = labels(data)
    paths = [p.removeprefix("CheXpert-v1.0-small/") for p in pd.read_csv(root / "train.csv").Path]
    edema = [found[path][0] for path in paths[:6]]
    assert np.array_equal(edema, expected, equal_nan=True)
    assert all(found[path][1] == 0 for path in paths)
    assert data.facts["uncertain_labels"] == {"Edema": 1, "Atelectasis": 0}
    missing = sum(data.facts["missing_labels"][split]["Edema"] for split in data.splits)
    assert missing == np.isnan(expected).sum()


@pytest.mark.parametrize(("views", "count"), [("frontal", 20), ("lateral", 20), ("all", 40)])
def test_views_are_chosen(root, opened, views, count):
    found = labels(opened(root, findings=BOTH, views=views))
    assert len(found) == count
    assert views == "all" or all(views in path for path in found)


def test_findings_stand_in_the_order_asked_for(root, opened):
    found = labels(opened(root, findings=("Atelectasis", "Edema")))
    assert set(map(tuple, found.values())) == {(0.0, 1.0)}


def test_the_validation_table_is_the_test_split(root, opened):
    last = [f"patient{n:05d}" for n in (18, 19, 20)]
    given = lambda table: table["Path"].str.split("/").str[2]
    rewrite(root, lambda t: t[given(t).isin(last)], "valid.csv")
    rewrite(root, lambda t: t[~given(t).isin(last)])
    data = opened(root, findings=BOTH)
    assert sorted(data.splits["test"].groups) == last
    assert data.facts["images"] == {"train": 15, "valid": 2, "test": 3}
    assert data.facts["table_rows"] == 40


@pytest.mark.parametrize("lead", ["", "CheXpert-v1.0-small/", "elsewhere/CheXpert-v1.0/", "a\\"])
def test_paths_are_found_whatever_folders_lead_them(root, opened, lead):
    strip = lambda path: lead + path.removeprefix("CheXpert-v1.0-small/")
    rewrite(root, lambda t: t.assign(Path=t["Path"].map(strip)))
    assert all(path.startswith("train/patient") for path in labels(opened(root, findings=BOTH)))


def test_the_table_may_lie_below_the_root(root, opened):
    deeper = root.parent / "data" / "CheXpert-v1.0-small"
    shutil.copytree(root, deeper)
    assert table_folder(deeper.parent) == deeper
    assert len(labels(opened(deeper.parent, findings=BOTH))) == 20


def test_a_missing_or_broken_file_is_named_with_its_row(root, opened):
    rewrite(root, put("Path", "CheXpert-v1.0-small/train/patient00001/study9/view1_frontal.jpg"))
    broken = root / "train/patient00002/study1/view1_frontal.jpg"
    broken.write_bytes(broken.read_bytes()[:80])
    with pytest.raises(UserError, match=r"view1_frontal.jpg: is not there \(line 2 of train.csv\)"):
        opened(root, findings=BOTH)
    data = opened(root, findings=BOTH, allowed_bad=0.1)
    assert len(data.facts["bad_files"]) == 2
    assert "cannot be decoded" in data.facts["bad_files"][str(broken.relative_to(root))]
    assert sum(data.facts["images"].values()) == 18


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            put("Edema", "1", "1", "2"),
            r"train.csv:4: 'Edema' is '2'; must be in \[0, 1\], empty",
        ),
        (put("Edema", "-0.5"), r"train.csv:2: 'Edema' is '-0.5'"),
        (put("Edema", "1", "1", "yes"), r"train.csv:4: 'Edema' is 'yes'"),
        (put("Frontal/Lateral", *["Oblique"] * 40), r"is frontal; allowed: Oblique"),
        (put("Path", "train/view1.jpg"), r"1 of 20 paths .* name no patient: a folder of each"),
        (lambda t: t.drop(columns="Path"), r"lacks the column 'Path'; has Sex"),
        (lambda t: t.drop(columns="Frontal/Lateral"), r"lacks the column 'Frontal/Lateral'"),
        (lambda t: t.rename(columns={"Edema": "Oedema"}), r"the column 'Edema'; .*'Oedema'\?"),
        (lambda t: pd.concat([t, t[:1]]), r"view1_frontal.jpg stands twice in the tables"),
        (lambda t: t[t["Frontal/Lateral"] == "Lateral"], r"has no row whose .* is frontal"),
    ],
)
def test_what_is_wrong_in_the_table_is_said(root, opened, change, said):
    rewrite(root, change)
    with pytest.raises(UserError, match=said):
        opened(root, findings=BOTH)


def test_a_table_that_is_none_is_named(root, opened):
    (root / "train.csv").write_text("")
    with pytest.raises(UserError, match=r"train.csv: cannot be read as a table"):
        opened(root, findings=BOTH)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"root": None}, "root: is null"),
        ({"root": Path("nowhere")}, "root: nowhere holds no train.csv .*register at Stanford"),
        ({"findings": (), "when_missing": "synthesize"}, "findings: are"),
        ({"findings": ("Edema", "Edema"), "when_missing": "synthesize"}, "findings: are"),
        ({"fractions": (1.0, 0.0, 0.0), "when_missing": "synthesize"}, "fractions: are"),
    ],
)
def test_options_are_checked_before_anything_is_read(options, said):
    with pytest.raises(UserError, match=said):
        Chexpert(**options).validate()


def test_get_says_how_the_files_are_had(root, tmp_path):
    get = lambda at: Chexpert(root=at).get(tmp_path, SilentProgress())
    assert "register at Stanford" in get(tmp_path / "nowhere")
    assert get(root) == f"chexpert: the files are in {root}"


def test_the_stand_in_has_the_layout_of_the_original(generated):
    folder = table_folder(generated)
    assert folder == generated / "CheXpert-v1.0-small"
    for file in ("train.csv", "valid.csv"):
        table = pd.read_csv(folder / file)
        assert table.columns.tolist() == [*FACTS, *FINDINGS]
        assert all((generated / path).is_file() for path in table["Path"])
    table = pd.read_csv(folder / "train.csv")
    values = table[list(COMPETITION)].to_numpy()
    assert np.isnan(values).any()
    assert {-1, 0, 0.5, 1} < set(values[~np.isnan(values)])
    assert set(table["Frontal/Lateral"]) == {"Frontal", "Lateral"}
    assert table["Path"].str.split("/").str[2].duplicated().any()
    assert set(PHANTOM.values()) <= set(PHANTOMS)


def test_the_stand_in_has_true_masks(generated, opened):
    data = opened(generated, views="all")
    assert data.name == "chexpert_synthetic"
    assert data.classes == COMPETITION
    for split in data.splits.values():
        indices = np.arange(len(split))
        for target in range(len(COMPETITION)):
            masks = split.masks(indices, np.full(len(split), target))
            assert masks["lungs"].any((1, 2)).all()
            shown = masks["evidence"].any((1, 2))
            known = ~np.isnan(split.labels[:, target])
            assert np.array_equal(shown[known], split.labels[known, target] > 0)


def test_the_stand_in_is_made_as_asked(generated, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # no pool for so few
    options = ChexpertPhantoms(root=tmp_path / "synthetic", images=60, seed=0)
    data = opened(None, when_missing="synthesize", synthetic=options)
    assert data.name == "chexpert_synthetic"
    options.write(SilentProgress(), workers=1)  # the same recipe: nothing to do
    for file in ("CheXpert-v1.0-small/train.csv", "recipe.json"):
        assert (tmp_path / "synthetic" / file).read_bytes() == (generated / file).read_bytes()
    with pytest.raises(UserError, match="another recipe"):
        replace(options, images=61).write(SilentProgress(), workers=1)


def test_the_planted_marker_goes_with_cardiomegaly(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    options = ChexpertPhantoms(root=tmp_path / "shortcut", images=60, shortcut_rate=1.0)
    data = opened(None, when_missing="synthesize", synthetic=options, views="all")
    assert data.name == "chexpert_shortcut_synthetic"
    for target, finding in enumerate(COMPETITION):
        for split in data.splits.values():
            tag = split.masks(np.arange(len(split)), np.full(len(split), target))["tag"]
            shown, labels = tag.any((1, 2)), split.labels[:, target]
            if finding == "Cardiomegaly":
                known = ~np.isnan(labels)
                assert np.array_equal(shown[known], labels[known] > 0)
            else:
                assert not shown.any()


def test_a_damaged_recipe_is_named(generated, opened, tmp_path):
    shutil.copytree(generated, tmp_path / "set")
    (tmp_path / "set" / "recipe.json").write_text("{")
    with pytest.raises(UserError, match=r"recipe.json: cannot be read"):
        opened(tmp_path / "set")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_that_excel_saved_elsewhere_gives_the_same(root, opened, encoding):
    rewrite(root, put("Edema", "0.5", "-1", ""))
    expected = opened(root, findings=BOTH)
    text = (root / "train.csv").read_text().replace(",", ";").replace("0.5", "0,5")
    (root / "train.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    found = opened(root, findings=BOTH)
    assert found.checksum == expected.checksum
    np.testing.assert_array_equal(found.splits["train"].labels, expected.splits["train"].labels)
