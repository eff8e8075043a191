"""Every command line of README and docs is run, on a small run in place of a long one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md"))),
]
# What makes a config of the documentation small: the command is what is tried, not the config.
SMALL = """
dataset={use: pcam, root: null, when_missing: synthesize, synthetic: DRAWN}
model={use: gap_cnn, width: 8}
training={epochs: 1, batch_size: 32, learning_rate: 0.01}
images={count: 4}
explainers={random: {draws: 1}, edge: , grad_cam: }
metrics={deletion: {steps: 4}, mass_accuracy: }
"""
RADIOGRAPHS = "data/chest_xray"
DRAWN = "{root: data/tiny, train: 64, valid: 40, test: 40}"


def blocks(page: str, *languages: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        body for lang, body in re.findall(r"```(\w*)\n(.*?)```", text, re.S) if lang in languages
    ]


def commands() -> list:
    """Return every command of ours in a shell block, each once."""
    found = {}
    for page in PAGES:
        for block in blocks(page, "sh", "bash", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words and words[0].removeprefix(".venv/bin/") in ("xaibench", "make", "python"):
                    found.setdefault(" ".join(words), page)
    return [pytest.param(line, id=f"{page}: {line}") for line, page in found.items()]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the configs, two finished runs and a plugin, as the pages take for granted."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "configs", folder / "configs")
    plugin = next(b for b in blocks("README.md", "python") if "@register" in b)
    for name in ("gradient_input.py", "my_explainer.py"):
        (folder / name).write_text(plugin, encoding="utf-8")
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").touch()
    metric = blocks("docs/how-to/metric.md", "python")[0].replace("Sparsity", "MyMetric")
    (folder / "my_package" / "my_module.py").write_text(metric, encoding="utf-8")
    drawn = "synthetic={root: data/chest_xray, images: 60}"
    stats = ["data", "stats", "chest_xray_pneumonia", "--set", "when_missing=synthesize"]
    for words in (
        *(small(["run", "configs/tiny.yaml", "--set", f"name={name}"]) for name in "ab"),
        [*stats, "--set", "root=null", "--set", drawn],
    ):
        code, said = called(folder, words)
        assert code == 0, said
    return folder


def called(place: Path, words: list[str]) -> tuple[int, str]:
    """Run a command of ours in a folder, as a reader does; return exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "xaibench", *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)},  # as `my_package`, were it installed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def small(words: list[str]) -> list[str]:
    """Return a command on a config with the small data, model and lists in the config's place."""
    kept = {word.partition("=")[0] for word in words}
    options = [
        o
        for o in SMALL.replace("DRAWN", DRAWN).strip().splitlines()
        if o.partition("=")[0] not in kept
    ]
    return [*words, *(word for option in options for word in ("--set", option))]


def filled_in(words: list[str], place: Path) -> list[str]:
    """Return a command with the run folders, names and devices that it leaves to the reader."""
    runs = {name: next((place / "results" / name).iterdir()) for name in "ab"}
    said = []
    for word in words:
        for name in "ab":
            word = word.replace(f"results/{name}/…", str(runs[name]))
        if word == "NAME":
            said += ["chest_xray_pneumonia", "--root"]
        said.append({"cuda": "cpu", "DIR": RADIOGRAPHS, "NAME": RADIOGRAPHS}.get(word, word))
    return said


@pytest.mark.slow
@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_pages_runs(line, place):
    program, *words = shlex.split(line)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert [w for w in words if "=" not in w and w not in targets] == []
        return
    if words[0] == "new":  # which never writes over what another page has made
        for file in place.glob(f"*{words[2]}*"):
            file.unlink()
    words = filled_in(words, place)
    if words[0] in ("run", "train"):
        words = small(words)
    code, said = called(place, words)
    assert code == 0, said


def test_commands_are_found():
    assert len(commands()) > 15
