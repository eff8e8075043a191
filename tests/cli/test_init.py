"""``xaibench init``: a config that runs as it is, for each kind of images that people have."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xaibench.config.reading import load_config
from xaibench.phantoms.own_pictures import draw_arrays, draw_folders, draw_table, drawn
from xaibench.progress import SilentProgress


def folders(place: Path) -> Path:
    draw_folders(place)
    return place


def several_labels(place: Path) -> Path:
    draw_table(place / "images")
    table = pd.read_csv(place / "images" / "table.csv")
    (place / "images" / "table.csv").unlink()
    table = table.assign(a=np.arange(len(table)) % 2, b=1, c=np.arange(len(table)) // 2 % 2)
    table.loc[0, "b"] = 0
    table[["path", "patient", "a", "b", "c"]].to_csv(place / "labels.csv", index=False)
    return place / "labels.csv"


def kaggle(place: Path) -> Path:
    (place / "train").mkdir(parents=True)
    rows = [(f"{at:040x}", at % 2) for at in range(40)]
    for name, label in rows:
        Image.fromarray(drawn(label, [int(name, 16)])[0]).save(place / "train" / f"{name}.tif")
    pd.DataFrame(rows, columns=["id", "label"]).to_csv(place / "train_labels.csv", index=False)
    return place


def dicom(place: Path) -> Path:
    pydicom = pytest.importorskip("pydicom", reason="the extra `dicom` is not installed")
    file = pydicom.data.get_testdata_file("MR_small.dcm")
    for at in range(40):
        (place / "ab"[at % 2]).mkdir(parents=True, exist_ok=True)
        made = pydicom.dcmread(file)
        made.PatientID = f"patient {at}"
        made.save_as(place / "ab"[at % 2] / f"{at}.dcm")
    return place


def hdf5(place: Path) -> Path:

    made = np.load(draw_arrays(place))
    with h5py.File(place / "own.h5", "w") as file:
        file["x"], file["y"], file["subject"] = (
            made["images"],
            made["labels"],
            made["groups"].astype("S9"),
        )
    return place / "own.h5"


def medmnist(place: Path) -> Path:
    place.mkdir()
    rng = np.random.default_rng(0)
    arrays = {}
    for name, total in {"train": 60, "val": 20, "test": 20}.items():
        arrays[f"{name}_images"] = rng.integers(0, 256, (total, 28, 28), np.uint8)
        arrays[f"{name}_labels"] = rng.integers(0, 2, (total, 14), np.uint8)
    np.savez(place / "chestmnist.npz", **arrays)
    return place / "chestmnist.npz"


KINDS = {
    folders: ("binary", 48),
    several_labels: ("multilabel", 48),
    kaggle: ("binary", 40),
    dicom: ("binary", 40),
    hdf5: ("binary", 48),
    medmnist: ("multilabel", 100),
}


@pytest.fixture
def here(monkeypatch, tmp_path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_what_is_written_opens_the_images_that_are_there(xaibench, here, make):
    place = make(Path("own"))
    code, out, err = xaibench("init", place)
    assert (code, err) == (0, "")
    (file,) = here.glob("*.yaml")
    assert file.stem == place.stem
    assert out.startswith(f"wrote {file.name}:\n")
    assert out.endswith(f"Next:\n  xaibench data check {file.name}\n  xaibench run {file.name}\n")
    assert file.read_text() in out
    assert file.read_text().count("\n") <= 12
    config = load_config(file)
    data = config.dataset.open(seed=0, cache=here / "cache", progress=SilentProgress())
    assert (data.task, sum(map(len, data.splits.values()))) == KINDS[make]
    unknown = all((split.groups == split.ids).all() for split in data.splits.values())
    assert unknown == ("nobody says which patient" in out)


def test_nothing_is_overwritten(xaibench, here):
    place = folders(Path("own"))
    Path("own.yaml").write_text("mine")
    code, out, err = xaibench("init", place)
    assert (code, out) == (2, "")
    assert err == "xaibench: own.yaml is there already, and nothing is overwritten; say --to FILE\n"
    assert Path("own.yaml").read_text() == "mine"
    assert xaibench("init", place, "--to", "other.yaml")[0] == 0
    assert Path("other.yaml").is_file()


def test_what_tells_nothing_leaves_no_file(xaibench, here):
    Path("own").mkdir()
    code, out, err = xaibench("init", "own")
    assert (code, out) == (2, "")
    assert err == "xaibench: own: has no images, no table and no arrays\n"
    assert not list(here.glob("*.yaml"))


def test_images_of_a_table_may_lie_elsewhere(xaibench, here):
    table = several_labels(Path("own"))
    Path("tables").mkdir()
    shutil.move(table, "tables/labels.csv")
    assert xaibench("init", "tables/labels.csv")[0] == 2
    assert xaibench("init", "tables/labels.csv", "--images", "own")[0] == 0
    load_config("labels.yaml").dataset.open(seed=0, cache=Path("cache"), progress=SilentProgress())


@pytest.mark.slow
@pytest.mark.parametrize("make", [folders, kaggle, medmnist], ids=lambda make: make.__name__)
def test_it_runs_as_it_is(xaibench, here, make):
    place = make(Path("own"))
    assert xaibench("init", place)[0] == 0
    code, out, _ = xaibench("run", f"{place.stem}.yaml", "--set", "training.epochs=1")
    assert code == 0
    assert "deletion" in out
