"""``xaibench data``: tables, figures and exit codes, each before any training."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging.layouts import pcam
from xaibench.imaging.splits import read_manifests

PLUGIN = '''
from dataclasses import dataclass

import numpy as np

from xaibench import Data, Dataset, Split, register


class Part(Split):
    def __init__(self, name, patients, masked):
        rng = np.random.default_rng(sum(map(ord, name)))
        self.groups = np.array(patients)
        self.ids = np.array([f"{name}_{at}" for at in range(len(patients))])
        self.labels = np.arange(len(patients)) % 2
        self.masked = masked
        self.pixels = rng.integers(0, 255, (len(patients), 8, 8, 3), np.uint8)

    def images(self, indices):
        return self.pixels[indices]

    def masks(self, indices, targets):
        square = np.zeros((len(indices), 8, 8), bool)
        square[:, 2:5, 2:5] = self.masked
        return {"square": square}


@register("dataset")
@dataclass(frozen=True)
class Toy(Dataset):
    """Noise."""

    leak: bool = False
    masked: bool = False

    def open(self, *, seed, cache, progress):
        patients = {"train": ["p", "p", "q", "q"], "valid": ["r", "r"], "test": ["s", "t"]}
        if self.leak:
            patients["test"] = ["p", "q"]
        parts = {name: Part(name, of, self.masked) for name, of in patients.items()}
        if self.leak:
            parts["test"].pixels[0] = parts["train"].pixels[3]
            parts["valid"].pixels[1] = 9
        return Data("toy", "binary", ("healthy", "ill"), 3, (8, 8), parts, "sum")
'''


@pytest.fixture
def xaibench(xaibench, monkeypatch, tmp_path):
    """Run `xaibench data` in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return partial(xaibench, "data")


@pytest.fixture
def toy(tmp_path) -> tuple[str, ...]:
    file = tmp_path / "toy.py"
    file.write_text(PLUGIN)
    return ("toy", "--plugin", str(file))


@pytest.fixture
def radiographs(tmp_path) -> Path:
    """Sixty small radiographs in Kaggle's folders: two a patient, every second one framed."""
    root = tmp_path / "files" / "chest_xray"
    rng = np.random.default_rng(0)
    for at in range(60):
        image = rng.integers(90, 200, (50, 60)).astype(np.uint8)
        if at % 2:
            # Cut by 2 of 50 lines on each of two sides: 4 of the frame's 6 are kept as padding.
            image[:6] = image[-6:] = 2
        patient = at // 2
        sick = patient % 3 > 0
        name = f"person{patient}_virus_{at}.png" if sick else f"IM-{patient:04d}-{at:04d}.png"
        file = root / "train" / ("PNEUMONIA" if sick else "NORMAL") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return root


@pytest.fixture
def pneumonia(radiographs) -> tuple[str, ...]:
    return ("chest_xray_pneumonia", "--root", str(radiographs), "--set", "resize.size=16")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stats", "."), "xaibench: . is no data set and no config; `xaibench init .` writes a"),
        (("get", "pcm"), "xaibench: unknown dataset 'pcm'; allowed: "),
        (("get", "pcam", "--set", "rot=x"), "--set rot=x: rot: unknown key 'rot'; allowed: "),
        (("stats", "pcam", "--set", "train_fraction=2"), "train_fraction: must "),
        (("stats", "pcam", "--set", "seed"), "--set seed: must read a.b=value"),
        (("prepare", "pcam", "--root", "no/such"), "--root no/such: root: no/such lacks 6 of 6"),
        (("split", "pcam"), "xaibench: pcam: root: data/pcam lacks 6 of 6 files"),
        (("check", "pcam", "--plugin", "no.py"), "plugin file no.py does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(xaibench, words, said):
    code, out, err = xaibench(*words)
    assert (code, out) == (2, "")
    assert err.startswith("xaibench: ")
    assert err.count("\n") == 1
    assert said in err


def test_stats_count_what_is_there(xaibench, pneumonia, tmp_path):
    code, out, _ = xaibench("stats", *pneumonia, "--out", "out")
    assert code == 0
    table = pd.read_csv("out/stats.csv").set_index(["split", "label"])
    whole = table.loc["all"]
    assert whole["images"].to_list() == [60, 60]
    assert whole["groups"].to_list() == [30, 30]
    assert whole["positives"].to_dict() == {"normal": 20, "pneumonia": 40}
    assert whole["positive_groups"].to_dict() == {"normal": 10, "pneumonia": 20}
    assert whole[["height_min", "width_max"]].to_numpy().tolist() == [[50, 60]] * 2
    parts = table.query("split != 'all'")
    assert parts["positives"].sum() == 60
    assert (
        parts.groupby("split")["positives"].sum() == parts.groupby("split")["images"].max()
    ).all()
    text = Path("out/stats.md").read_text()
    assert text.startswith("## chest_xray_pneumonia_subset\n")
    assert "| all | pneumonia | 60 | 30 | 40 | 20 | 0 | 0 | 66.7% | 20 | 50 | 60 |" in text
    assert "60 images, two classes (binary), 16x16x1\n" in out
    assert re.search(r"^images +48 +6 +6 +60$", out, re.MULTILINE)
    assert re.search(r"^pneumonia .* 40 \(66.7%\)$", out, re.MULTILINE)
    assert out.endswith("Written: out\n")
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 1000
    assert not (tmp_path / "out" / "sheet.pdf").exists()


def test_results_go_to_a_folder_of_the_true_name(xaibench, toy):
    assert xaibench("stats", *toy)[0] == 0
    assert Path("results/data/toy/stats.csv").is_file()


def test_a_sheet_of_masked_images_alone(xaibench, toy):
    code, out, _ = xaibench("stats", *toy, "--masks-only", "--out", "none")
    assert (code, Path("none/sheet_masks.png").exists()) == (0, False)
    assert "No image has a mask: no sheet is drawn.\n" in out
    assert xaibench("stats", *toy, "--masks-only", "--set", "masked=true", "--out", "out")[0] == 0
    assert Path("out/sheet_masks.png").is_file()


def test_preparation_is_kept_and_its_crops_are_told(xaibench, pneumonia):
    padded = (*pneumonia, "--set", "resize.mode=pad")
    code, out, _ = xaibench(
        "prepare", *padded, "--out", "out", "--format", "png", "--format", "pdf"
    )
    assert code == 0
    # Half of the images lose 4 of 50 lines; the median of 0 and 0.08 is 0.04.
    assert "60 images at 16x16, 50.0% cropped, median area removed 4.0%\n" in out
    assert sorted(file.name for file in Path("out").iterdir()) == [
        f"{figure}_pad.{ending}"
        for figure in ("before_after", "stages")
        for ending in ("pdf", "png")
    ]
    (kept,) = Path("results/cache/prepared").iterdir()
    assert np.load(kept / "images.npy").shape == (60, 16, 16)
    assert "Preparing" not in xaibench("split", *padded)[2]
    assert "Preparing" in xaibench("split", *pneumonia)[2]


def test_stored_pixels_need_no_preparation(xaibench, toy):
    code, out, _ = xaibench("prepare", *toy, "--out", "out")
    assert (code, Path("out").exists()) == (0, False)
    assert out == "toy: images are used as stored, 8x8; nothing is prepared\n"


def test_the_split_is_told_and_its_manifests_are_taken_again(xaibench, pneumonia):
    code, out, _ = xaibench("split", *pneumonia, "--out", "out")
    assert code == 0
    assert "Patients in two splits: 0\n" in out
    table = read_manifests(Path("out"))
    assert len(table) == 60
    assert (table["label"] == "pneumonia").sum() == 40
    assert table.groupby("patient")["split"].nunique().max() == 1
    folder = ("--set", "manifests=out", "--set", "split_seed=7")
    assert xaibench("split", *pneumonia, *folder, "--out", "again")[0] == 0
    for name in ("train.csv", "val.csv", "test.csv"):
        assert Path("again", name).read_text() == Path("out", name).read_text()


def test_a_patient_in_two_splits_is_exit_code_1_and_no_manifest(xaibench, toy):
    code, out, _ = xaibench("split", *toy, "--set", "leak=true", "--out", "out")
    assert (code, Path("out").exists()) == (1, False)
    assert "Patients in two splits: 2\n  p is in train, test\n  q is in train, test\n" in out
    code, out, _ = xaibench("split", *toy, "--out", "out")
    assert (code, Path("out/val.csv").is_file()) == (0, True)


def test_a_sound_set_passes_the_check(xaibench, pneumonia):
    code, out, _ = xaibench("check", *pneumonia, "--out", "out")
    assert code == 0
    assert "0 of 60 images are bad (allowed: 0.0%)\n" in out
    assert "Warning" not in out
    assert "No warnings: no patient and no picture is in two splits" in out
    assert Path("out/bad.csv").read_text() == "path,reason\n"


def test_every_bad_file_is_named_with_its_reason(xaibench, pneumonia, radiographs):
    normal = radiographs / "train" / "NORMAL"
    whole = sorted(normal.iterdir())[0]
    (normal / "IM-0900-0001.png").write_bytes(b"")
    (normal / "IM-0901-0001.png").write_bytes(whole.read_bytes()[:700])
    (normal / "IM-0902-0001.png").write_text("no picture")
    (normal / "notes.txt").write_text("no picture")
    elsewhere = radiographs / "train" / "UNSURE" / "IM-0903-0001.png"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(whole.read_bytes())
    code, out, heard = xaibench("check", *pneumonia, "--out", "out")
    assert code == 1
    assert "3 of 63 images are bad (allowed: 0.0%)\n" in out
    assert "PNEUMONIA: 1 images (train/UNSURE/IM-0903-0001.png)" in " ".join(heard.split())
    bad = pd.read_csv("out/bad.csv").set_index("path")["reason"].to_dict()
    said = {
        "train/NORMAL/IM-0900-0001.png": "is empty",
        "train/NORMAL/IM-0901-0001.png": "cannot be decoded",
        "train/NORMAL/IM-0902-0001.png": "is no image",
    }
    assert bad.keys() == said.keys()
    for path, reason in said.items():
        assert reason in bad[path]
        assert f"  {path}: {bad[path]}\n" in out
    assert xaibench("check", *pneumonia, "--allowed-bad", 3 / 63)[0] == 0
    assert xaibench("check", *pneumonia, "--allowed-bad", 2 / 63)[0] == 1


def test_blank_and_repeated_pictures_are_warned_of(xaibench, toy):
    code, out, _ = xaibench("check", *toy, "--set", "leak=true", "--out", "out")
    assert code == 0
    assert "Warning: blank pictures: 1\n  valid_1 (valid)\n" in out
    assert "Warning: pictures in more than one split: 1\n" in out
    assert "  train_3 (train), test_0 (test)\n" in out
    assert "Warning: patients in more than one split: 2\n  p is in train, test\n" in out
    assert pd.read_csv("out/patients.csv")["group"].to_list() == ["p", "q"]
    assert pd.read_csv("out/duplicates.csv")["id"].to_list() == ["train_3", "test_0"]
    assert pd.read_csv("out/blank.csv")["id"].to_list() == ["valid_1"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nih_chestxray14", "NIH Clinical Center"),
        ("pneumothorax", "pneumothorax_train.h5"),
        ("chexpert", "register at Stanford"),
    ],
)
def test_what_cannot_be_fetched_is_told_where_to_have(xaibench, name, said):
    code, out, err = xaibench("get", name)
    assert (code, err) == (0, "")
    assert said in out


def test_a_plugin_without_a_way_to_fetch_says_so(xaibench, toy):
    assert xaibench("get", *toy)[:2] == (
        0,
        "toy: its files cannot be fetched; its documentation says what they are\n",
    )


def test_pcam_is_fetched_where_its_files_are_missing(xaibench, monkeypatch):
    def fetch(root, part, md5, progress):
        root.mkdir(parents=True, exist_ok=True)
        (root / pcam.file_name(part)).touch()

    monkeypatch.setattr(pcam, "_fetch", fetch)
    code, out, _ = xaibench("get", "pcam", "--root", "here")
    assert (code, out) == (0, "pcam: 6 of 6 files were fetched; all are in here\n")
    assert xaibench("get", "pcam", "--root", "here")[1].startswith("pcam: 0 of 6 files")


def test_a_failed_fetch_is_exit_code_2(xaibench, monkeypatch):
    def fail(url, *_):
        raise UserError(f"{url}: no answer")

    monkeypatch.setattr(pcam, "download", fail)
    code, out, err = xaibench("get", "pcam", "--root", "here")
    assert (code, out) == (2, "")
    assert err.startswith("xaibench: https://zenodo.org/")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    code, _, err = xaibench("get", "chest_xray_pneumonia", "--root", "here")
    assert code == 2
    assert "needs kagglehub" in err


def test_to_fetch_needs_a_folder(xaibench):
    code, _, err = xaibench("get", "pcam", "--set", "root=null")
    assert (code, err) == (
        2,
        "xaibench: root: is null: name the folder that the files go to\n",
    )


def test_no_command_imports_torch(toy, tmp_path):
    words = ["xaibench", "data", "stats", *toy, "--out", str(tmp_path / "out")]
    code = (
        f"import sys\nfrom xaibench.cli import main\nsys.argv = {words}\ntry:\n    main()\nfinally:"
        "\n    assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "out" / "sheet.png").is_file()


@pytest.fixture
def config(radiographs, tmp_path) -> Path:
    file = tmp_path / "own.yaml"
    file.write_text(
        "name: own\nseed: 5\ndataset:\n"
        f"  use: chest_xray_pneumonia\n  root: {radiographs}\n  resize: {{size: 16}}\n"
    )
    return file


def test_a_config_may_stand_for_its_data_set(xaibench, config, pneumonia):
    assert xaibench("split", config, "--out", "by_config")[0] == 0
    assert xaibench("split", *pneumonia, "--out", "by_name")[0] == 0
    for name in ("train.csv", "val.csv", "test.csv"):
        assert Path("by_config", name).read_text() == Path("by_name", name).read_text()
    assert xaibench("prepare", config, "--set", "resize.mode=pad")[1].count("60 images at 16x16")


def test_draws_of_a_config_are_by_its_seed(xaibench, config):
    sheet = lambda *words: (
        xaibench("stats", *words, "--out", "out")[0] == 0 and (Path("out/sheet.png").read_bytes())
    )
    own, said, other = sheet(config), sheet(config, "--seed", 5), sheet(config, "--seed", 42)
    assert own == said != other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\n", "own.yaml: has no section `dataset`"),
        ("dataset: {use: pcm}\n", "own.yaml:1: dataset.use: unknown dataset 'pcm'"),
        ("dataset:\n  use: pcam\n  rot: x\n", "own.yaml:3: dataset.rot: unknown key 'rot'"),
        ("dataset:\n  use: pcam\n  root: no/such\n", "own.yaml:3: dataset.root: no/such lacks"),
        ("plugins: [no.py]\ndataset: {use: toy}\n", "own.yaml:1: plugins.0: "),
        ("plugins: no.py\ndataset: {use: toy}\n", "own.yaml:1: plugins: must be a list of files"),
        ("seed: x\ndataset: {use: pcam}\n", "own.yaml:1: seed: must be a whole number"),
    ],
)
def test_a_mistake_in_a_config_is_told_with_its_line(xaibench, tmp_path, text, said):
    (tmp_path / "own.yaml").write_text(text)
    code, out, err = xaibench("stats", "own.yaml")
    assert (code, out) == (2, "")
    assert f"xaibench: {said}" in err
    assert err.count("\n") == 1
