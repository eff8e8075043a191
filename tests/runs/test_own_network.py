"""A run of a network of one's own code keeps the code, says what its head is, and is repeated."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from heard import Heard

from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.progress import SilentProgress
from xaibench.runs.story import run
from xaibench.runs.verifying import Asked, verify
from xaibench.store.finished import FinishedRun

NET = """
# Gewichte f\u00fcr zwei Klassen
from torch import nn


def make(outputs=2):
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs))
"""
CONFIG = """
name: own
batch_size: 8
images: {count: 2}
segments: {n_segments: 8}
dataset:
  use: pcam
  when_missing: synthesize
  synthetic: {root: DATA, train: 16, valid: 16, test: 16}
model: {use: module, factory: "my_net.py:make"}
training: {epochs: 0}
explainers: {random: , edge: }
metrics: {deletion: {steps: 2}}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for slow in ("draw_all", "write_page"):
        monkeypatch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a config and, beside it, the code of its network."""
    home = tmp_path_factory.mktemp("home")
    (home / "my_net.py").write_text(NET, "utf-8")
    (home / "own.yaml").write_text(CONFIG.replace("DATA", str(home / "data")), "utf-8")
    return home


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_the_code_is_kept_and_the_run_is_repeated_without_the_file(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "results"
    folder = run(load_config(home / "own.yaml"), out, SilentProgress())
    assert (folder / "code/my_net.py").read_text("utf-8") == NET
    assert "factory: code/my_net.py:make" in (folder / "config.yaml").read_text("utf-8")
    told = manifest(folder)["model"]
    assert told["factory"] == "my_net.py:make"
    assert told["code"] == {"my_net.py": hashlib.sha256(NET.encode()).hexdigest()}
    assert told["weights_used"] == "as my_net.py:make gives them"
    sealed = json.loads((folder / "checksums.json").read_text("utf-8"))
    assert sealed["code/my_net.py"] == told["code"]["my_net.py"]
    moved = home / "gone.py"
    (home / "my_net.py").rename(moved)  # the run kept what it ran
    try:
        checks = list(verify(Asked(folder, cells=1), SilentProgress()))
        assert [check.what for check in checks if not check.passed] == []
        again = load_config(folder / "config.yaml")
        heard = Heard()
        assert run(again, out, heard) == folder
        assert any("is finished already" in line for line in heard.lines)
        shutil.copytree(folder, tmp_path / "kept")
        shutil.rmtree(folder)
        assert run(load_config(tmp_path / "kept/config.yaml"), out, SilentProgress()) == folder
        one, other = (pd.read_parquet(f / "scores.parquet") for f in (folder, tmp_path / "kept"))
        pd.testing.assert_frame_equal(one, other)
    finally:
        moved.rename(home / "my_net.py")
    (folder / "code/my_net.py").write_text(NET.replace("4, 3, 2, 1", "4, 3, 1, 1"), "utf-8")
    broken = [check.what for check in verify(Asked(folder), SilentProgress()) if not check.passed]
    assert broken[0] == "code/my_net.py"


def test_where_the_file_lies_is_no_part_of_the_run_what_it_holds_is(home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    out = tmp_path / "results"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("my_net.py", "own.yaml"):
        shutil.copy(home / name, elsewhere / name)
    first = run(load_config("own.yaml"), out, SilentProgress())
    assert run(load_config(elsewhere / "own.yaml"), out, SilentProgress()) == first
    (elsewhere / "my_net.py").write_text(NET + "\n", "utf-8")
    assert run(load_config(elsewhere / "own.yaml"), out, SilentProgress()) != first


HEADS = {
    "keep": (
        [],
        {"read_as": "softmax", "module": "3", "asked": "keep",
         "layer": "Linear(in_features=4, out_features=2, bias=True)"},
    ),
    "one output": (
        ["model.options={outputs: 1}"],
        {"read_as": "single_logit", "module": "3", "asked": "keep",
         "layer": "Linear(in_features=4, out_features=1, bias=True)"},
    ),
    "replace": (
        ["model.options={outputs: 9}", "model.head=replace", "model.single_logit=true"],
        {"read_as": "single_logit", "module": "3", "asked": "replace",
         "layer": "Linear(in_features=4, out_features=1, bias=True)"},
    ),
    "timm": (
        ["model={use: timm, architecture: resnet10t, weights: none, hidden: 5}"],
        {"read_as": "softmax", "module": "fc", "layer": "Sequential"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_the_manifest_tells_the_head_as_it_is(name, home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    words, head = HEADS[name]
    folder = run(load_config("own.yaml", words), tmp_path / "results", SilentProgress())
    assert manifest(folder)["model"]["head"] == head
    assert FinishedRun(folder).head == head["read_as"]


@pytest.mark.parametrize("factory", ["torchvision.models:shufflenet_v2_x0_5"])
def test_a_package_is_not_copied(factory, home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    words = [f"model={{use: module, factory: '{factory}', head: replace}}"]
    folder = run(load_config("own.yaml", words), tmp_path / "results", SilentProgress())
    assert not (folder / "code").exists()
    assert "code" not in manifest(folder)["model"]


def test_the_key_of_the_weights_is_part_of_the_run(home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    scope: dict = {}
    exec(NET, scope)
    state = scope["make"]().state_dict()
    averaged = {f"module.{name}": value + 1 for name, value in state.items()}
    torch.save({"model": state, "model_ema": averaged}, home / "w.pth")
    runs = {}
    for key in ("null", "model_ema"):
        words = ["model.weights=w.pth", f"model.weights_key={key}"]
        heard = Heard()
        folder = run(load_config("own.yaml", words), tmp_path / "results", heard)
        told = manifest(folder)["model"]
        runs[folder] = pd.read_parquet(folder / "predictions.parquet").filter(like="p_")
        (note,) = told["noticed"]
        assert note in heard.lines
        taken, left = ("model_ema", "model") if key != "null" else ("model", "model_ema")
        assert note.startswith(f"Weights of w.pth: those under {taken!r}")
        assert f"not those under {left!r}, which fit as well (weights_key chooses)" in note
        assert told["weights_key"] == (None if key == "null" else key)
    one, other = runs.values()
    assert len(runs) == 2
    assert not one.equals(other)
    typo = load_config("own.yaml", ["model.weights=w.pth", "model.weights_key=modl_ema"])
    with pytest.raises(
        UserError, match=r"weights_key: w\.pth has no weights under 'modl_ema' \(did"
    ):
        run(typo, tmp_path / "results", SilentProgress())
