"""What the documentation shows is real: plugins keep their contracts, configs load, code runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from xaibench.checks.plugins import checks_for
from xaibench.config.reading import load_config, load_dataset
from xaibench.progress import SilentProgress
from xaibench.registry import Registry

ROOT = Path(__file__).resolve().parents[1]


def _example(page: str, name: str, folder: Path) -> Path:
    """Write the first Python block of a page as a plugin file."""
    block = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    file = folder / f"{name}.py"
    file.write_text(block[1], encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("README.md", "gradient_input"),
        pytest.param("docs/how-to/explainer.md", "gradient_input", marks=pytest.mark.slow),
        pytest.param("docs/how-to/metric.md", "sparsity", marks=pytest.mark.slow),
    ],
)
def test_explainers_and_metrics_keep_their_contract(page, name, tmp_path):
    file = _example(page, name, tmp_path)
    (plugin,) = (p for p in Registry([file]).plugins() if p.source == str(file))
    results = [check.run() for check in checks_for(plugin.load())]
    assert len(results) > 3
    assert [(r.name, r.why) for r in results if r.failed] == []


def test_readme_explainer_is_as_short_as_it_says():
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    assert len([line for line in block.splitlines() if line.strip()]) <= 15


def test_model(tmp_path):
    file = _example("docs/how-to/model.md", "small_net", tmp_path)
    plugin = Registry([file]).load("model", "small_net")()
    model = plugin.build(task="binary", classes=("a", "b"), channels=1, size=(32, 32))
    scores = model.score(torch.rand(3, 1, 32, 32), torch.tensor([0, 1, 1]))
    assert scores.shape == (3,)


def test_dataset(tmp_path):
    file = _example("docs/how-to/dataset.md", "my_slides", tmp_path)
    for name in ("train", "valid", "test"):
        folder = tmp_path / "root" / name
        folder.mkdir(parents=True)
        np.save(folder / "images.npy", np.zeros((4, 96, 96, 3), np.uint8))
        np.save(folder / "labels.npy", np.array([0, 1, 0, 1]))
        np.save(folder / "patients.npy", np.array(["p", "p", "q", "q"]))
    plugin = Registry([file]).load("dataset", "my_slides")(root=tmp_path / "root")
    plugin.validate()
    data = plugin.open(seed=0, cache=tmp_path, progress=SilentProgress())
    assert data.splits["test"].images(np.array([2, 0])).shape == (2, 96, 96, 3)
    assert list(data.splits["test"].groups) == ["p", "p", "q", "q"]


def test_every_file_in_the_readme_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`(xaibench/[\w/]+(?:\.py|/))`", text) + re.findall(
        r"`(configs/\S+)`", text
    )
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []


PAGES = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]
TINY = ROOT / "configs" / "tiny.yaml"


def _blocks(language: str) -> list:
    """Return every block of a language, with its page."""
    return [
        pytest.param(body, id=f"{page}:{number}")
        for page in PAGES
        for number, body in enumerate(
            re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)
        )
    ]


@pytest.fixture
def beside(tmp_path, monkeypatch) -> Path:
    """A folder with the plugins that the pages name, where they are looked for."""
    _example("README.md", "gradient_input", tmp_path)
    text = (tmp_path / "gradient_input.py").read_text("utf-8")
    (tmp_path / "my_explainer.py").write_text(text.replace("GradientInput", "MyExplainer"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", _blocks("yaml"))
def test_a_part_of_a_config_is_one(block, beside):
    whole = yaml.safe_load(TINY.read_text("utf-8")) | yaml.safe_load(block)
    (beside / "config.yaml").write_text(yaml.safe_dump(whole), "utf-8")
    config = load_config(beside / "config.yaml")
    for named in re.findall(r"\w+\(\w+=\w+\)", block):
        assert named in {*config.explainers, *config.metrics}


SMALL = """
name: small
images: {count: 4}
dataset:
  use: pcam
  when_missing: synthesize
  synthetic: {root: data, train: 40, valid: 20, test: 20}
model: {use: gap_cnn, width: 8}
training: {epochs: 1, batch_size: 32}
explainers: {random: {draws: 1}, edge: , grad_cam: }
metrics: {deletion: {steps: 4}, mass_accuracy: }
"""


@pytest.mark.slow
@pytest.mark.parametrize("block", _blocks("python"))
def test_a_block_of_python_runs(block, beside):
    """A block of tests by pytest, any other as it stands; a run is a small one."""
    (beside / "configs").mkdir()
    (beside / "configs" / "tiny.yaml").write_text(SMALL, "utf-8")
    (beside / "test_block.py").write_text(block, "utf-8")
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_block.py"]
    done = subprocess.run(
        [sys.executable, *(tests if "def test_" in block else ["-c", block])],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{beside}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sections_for_images_of_ones_own_are_what_the_data_sets_take():
    text = (ROOT / "docs/how-to/own-images.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `(dataset: \{.*\})` \|$", text, re.M)
    sections = [yaml.safe_load(row)["dataset"] for row in rows]
    assert {section["use"] for section in sections} == {"image_folder", "image_table", "arrays"}
    for section in sections:
        name = section.pop("use")
        said = [f"{key}={yaml.safe_dump(value)}" for key, value in section.items()]
        load_dataset(name, overrides=said, with_files=False)
