"""The command for a GPU machine: its flow on the CPU."""

from __future__ import annotations

import importlib
import json
import os
import sys
import zipfile
from types import ModuleType

import pytest
import torch

from benchmarks import gpu
from benchmarks.records import Record
from benchmarks.stage import Deadline, Stage

ABOUT = {"name": "toy", "device": "cpu", "threads": 1, "versions": {}}


def stage_of(tmp_path, seconds):
    record = Record(tmp_path / "toy.json", ABOUT)
    return Stage(torch.device("cpu"), True, Deadline(seconds), record, tmp_path)


@pytest.fixture
def sections(monkeypatch):
    """Three sections: one that breaks, one that works, one that needs an hour."""
    module = ModuleType("benchmarks.toy_sections")

    def breaks(stage):
        raise KeyError("what")

    module.breaks, module.works = breaks, lambda stage: {"table": "**fine**"}
    module.needs_an_hour = module.works
    monkeypatch.setitem(sys.modules, module.__name__, module)
    known = {"breaks": 0, "works": 1, "needs_an_hour": 3600}
    monkeypatch.setattr(gpu, "SECTIONS", {n: ("toy_sections", s) for n, s in known.items()})
    return list(known)


def test_a_failure_takes_no_other_section(tmp_path, sections, capsys):
    failed = gpu.run_sections(sections, stage_of(tmp_path, 100))
    assert failed == ["breaks"]
    content = json.loads((tmp_path / "toy.json").read_text())
    assert "failed: KeyError: 'what'" in content["breaks"]["table"]
    assert content["works"]["table"] == "**fine**"
    assert content["works"]["section_seconds"] >= 0
    assert content["left_out"]["sections"]["needs_an_hour"].startswith("needs about 3600 s, and ")
    printed = capsys.readouterr().out
    assert "needs_an_hour: left out: needs about 3600 s" in printed


def test_no_section_begins_after_the_deadline(tmp_path, sections):
    assert gpu.run_sections(sections[1:], stage_of(tmp_path, -1)) == []
    content = json.loads((tmp_path / "toy.json").read_text())
    assert set(content["left_out"]["sections"]) == {"works", "needs_an_hour"}


def test_every_section_is_there():
    for name, (module, _) in gpu.SECTIONS.items():
        assert callable(getattr(importlib.import_module(f"benchmarks.{module}"), name))


def test_wheels_are_importable_meanwhile(tmp_path):
    name = "xaibench_toy_wheel"
    wheel = tmp_path / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "answer = 42\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    before, environment = list(sys.path), os.environ.get("PYTHONPATH")
    with gpu.importable(tmp_path) as scratch:
        assert importlib.import_module(name).answer == 42
        assert scratch.is_dir()
        assert str(gpu.ROOT) in os.environ["PYTHONPATH"].split(os.pathsep)
    assert sys.path == before
    assert os.environ.get("PYTHONPATH") == environment
    assert not scratch.exists()


@pytest.mark.slow
def test_flow(tmp_path, monkeypatch):
    monkeypatch.setenv("XAIBENCH_DATA", str(tmp_path / "none"))
    said = ["--tiny", "--device", "cpu", "--threads", "1", "--out", str(tmp_path)]
    assert gpu.main([*said, "--minutes", "20"]) == 0
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    assert set(gpu.SECTIONS) <= set(content)
    assert content["left_out"]["sections"] == {}
    assert content["correctness"]["wrong"] == 0
    assert content["peers"]["rows"] == len(content["rows"])
    assert content["projection"]["hours"]["fp32"] > 0
    assert content["whole_run"]["statuses"]["ok"] > 0
    page = path.with_suffix(".md").read_text()
    for title in ("Environment", "Correctness", "Projection", "Training", "A whole run"):
        assert f"**{title}" in page
