"""The plugins that the documentation shows are real: they load and keep their contracts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from xaibench.checks.plugins import checks_for
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
