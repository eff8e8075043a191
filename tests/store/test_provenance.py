"""What made a result is told, and nothing of whose machine it was."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from xaibench.store import provenance
from xaibench.store.provenance import code_version, environment


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    return environment("cpu", torch.get_num_threads())


def test_the_environment_names_versions_and_hardware(told):
    assert told["python"] == platform.python_version()
    assert told["packages"]["torch"] == importlib.metadata.version("torch")
    assert {"xaibench", "timm", "captum", "lime", "scikit-image", "numpy"} <= set(told["packages"])
    assert told["device"] == "cpu"
    assert told["cores"] == os.cpu_count()
    assert told["code"] == code_version()
    assert told["processor"]


def test_the_environment_is_plain_data(told):
    assert json.loads(json.dumps(told)) == told


def test_the_environment_names_no_machine_user_or_folder(told):
    text = json.dumps(told)
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_the_code_version_follows_every_source_file(tmp_path):
    one, two = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1")
    two.write_text("y = 1")
    first = code_version([one, two])
    assert code_version([two, one]) == first
    two.write_text("y = 2")
    assert code_version([one, two]) != first
    assert code_version([one]) != first
    two.write_text("y = 1")
    assert code_version([one, two]) == first


def test_a_renamed_file_is_another_version(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("x = 1")
    first = code_version([path])
    assert code_version([path.rename(tmp_path / "b.py")]) != first


def test_outside_a_checkout_there_is_no_commit(monkeypatch, told):
    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert provenance._git_commit() is None


def test_hardware_is_told_in_a_few_words():
    told = provenance.hardware("cpu", 3)
    assert told == f"{environment('cpu', 3)['processor']}, 3 threads"
    assert provenance.hardware("mps", 1).startswith("mps on ")


@pytest.mark.parametrize(
    ("device", "told"),
    [("cpu", "Chip, 4 threads"), ("mps", "mps on Chip"), ("NVIDIA X", "NVIDIA X")],
)
def test_hardware_of_another_machine(device, told):
    assert provenance.hardware(device, 4, "Chip") == told


def test_one_thread_is_one():
    assert provenance.hardware("cpu", 1, "Chip") == "Chip, 1 thread"
    told = provenance.hardware("cpu", 1, "Chip", "compiler 3.1")
    assert told == "Chip, 1 thread, passes through compiler 3.1"
