"""The house: which rooms there are, what each may import, and what each file keeps to."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import xaibench
from xaibench.registry import KINDS, Registry

PACKAGE = Path(xaibench.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
TREES = {name: ast.parse((PACKAGE / name).read_text(encoding="utf-8")) for name in FILES}
MOST_LINES = 300


def lint(config: Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports({!r}))"
    command = [sys.executable, "-c", code.format(str(config))]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_of_the_rooms_are_kept():
    done = lint(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


LAYERS, NO_TORCH = (
    "A room imports from the rooms below it",
    "Tables, figures and data know no torch",
)


@pytest.mark.parametrize(
    ("one", "other", "broken"),
    [
        ('"cli",\n    "runs",', '"runs",\n    "cli",', LAYERS),
        ('"report",', "", LAYERS),
        ('    "xaibench.report",', '    "xaibench.runs",', NO_TORCH),
    ],
)
def test_a_contract_can_be_broken(tmp_path, one, other, broken):
    text = (ROOT / "pyproject.toml").read_text()
    assert one in text
    (tmp_path / "pyproject.toml").write_text(text.replace(one, other, 1))
    done = lint(tmp_path / "pyproject.toml")
    assert done.returncode == 1
    assert f"{broken} BROKEN" in done.stdout.replace("\n", " ")


def test_the_top_holds_at_most_24_rooms():
    names = {name.split("/")[0].removesuffix(".py") for name in FILES}
    assert len({name for name in names if not name.startswith("__")}) <= 24


def test_tests_mirror_the_rooms():
    folders = lambda place: {p.parent.name for p in place.glob("*/*.py")}
    # Where tensors lie is a promise of all rooms together, and so has tests of its own.
    assert folders(ROOT / "tests") == folders(PACKAGE) | {"benchmarks", "placement"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_folder_is_the_list_of_plugins(kind):
    listed = subprocess.run(
        [sys.executable, "-m", "xaibench", "list", "--json", "--kind", kind],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {row["name"] for row in json.loads(listed.stdout) if row["source"] == "xaibench"}
    assert names
    folder = PACKAGE / f"{kind}s"
    files = {p.relative_to(folder) for p in folder.rglob("*") if p.suffix == ".py"}
    families = {path.parent for path in files}
    shared = {family / name for family in families for name in ("__init__.py", "base.py")}
    assert shared <= files
    shared |= {family / "library.py" for family in families}  # how a library is asked
    named = {".".join(part.rstrip("_") for part in p.with_suffix("").parts) for p in files - shared}
    assert named == names


@pytest.mark.parametrize("plugin", Registry().plugins(), ids=lambda p: f"{p.kind}-{p.name}")
def test_a_plugin_is_named_as_its_file(plugin):
    cls = plugin.load()
    assert (cls.kind, cls.name) == (plugin.kind, plugin.name)
    assert cls.__module__.replace("_.", ".") == f"xaibench.{plugin.kind}s.{plugin.name}"


def test_there_is_no_file_of_odds_and_ends():
    odd = {"utils", "util", "helpers", "common", "misc"}
    assert [name for name in FILES if odd & {*name.removesuffix(".py").split("/")}] == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_one_abstraction_and_says_which(name):
    lines = (PACKAGE / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    if TREES[name].body:
        told = ast.get_docstring(TREES[name])
        assert told, "says nothing of itself"
        assert told.splitlines()[0].endswith((".", "?", "::"))


@pytest.mark.parametrize("name", FILES)
def test_what_begins_with_an_underscore_stays_at_home(name):
    taken = [
        alias.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("xaibench")
        for alias in node.names
    ]
    assert [n for n in taken if n.startswith("_") and not n.endswith("__")] == []


@pytest.mark.parametrize(
    "rooms",
    [
        ["xaibench"],
        ["xaibench.cli.app", "xaibench.cli.data", "xaibench.registry"],
        ["xaibench.config.reading", "xaibench.training.options"],
        ["xaibench.leaderboards.board", "xaibench.store.run_folder"],
        ["xaibench.figures.draw", "xaibench.report.page"],
        ["xaibench.segmentation.label_maps", "xaibench.segmentation.quickshift"],
        ["xaibench.datasets.pcam", "xaibench.phantoms.pcam"],
    ],
)
def test_brings_no_torch_when_imported(rooms):
    code = f"import {', '.join(rooms)}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("words", [["--help"], ["report", "--help"], ["run", "--help"]])
def test_help_brings_nothing_that_it_does_not_need(words):
    heavy = "{'torch', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'seaborn', 'skimage'}"
    code = "import sys\nfrom xaibench.cli import main\ntry:\n    main()\nfinally:\n"
    code += f"    there = {heavy} & sys.modules.keys()\n    assert not there, there"
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)


def test_the_public_names_are_there_and_no_others():
    for name in xaibench.__all__:
        assert getattr(xaibench, name).__doc__, name
    with pytest.raises(AttributeError, match="xaibench has no 'nothing'; it has Batch, "):
        _ = xaibench.nothing
    assert {"load_config", "run", "leaderboard", "register", "checks_for"} <= set(dir(xaibench))
