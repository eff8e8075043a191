"""`xaibench new`: what it writes works at once, and nothing is overwritten."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from xaibench.checks.process import run_checks
from xaibench.checks.starter import Starter
from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.progress import SilentProgress
from xaibench.registry import KINDS, Registry
from xaibench.runs.story import run

CLASSES = {"my_method": "MyMethod", "x": "X", "grad_cam_2": "GradCam2"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_three_files_and_says_what_comes_next(xaibench, tmp_path, kind):
    code, out, _ = xaibench("new", kind, "my_thing", "--dir", tmp_path / "here")
    here = tmp_path / "here"
    assert code == 0
    assert {p.name for p in here.iterdir()} == {"my_thing.py", "test_my_thing.py", "my_thing.yaml"}
    assert out.splitlines()[-4:] == [
        f"  cd {here}",
        "  xaibench check my_thing.py",
        "  xaibench run my_thing.yaml",
        "  python -m pytest test_my_thing.py",
    ]
    found = [p for p in Registry([here / "my_thing.py"]).plugins() if p.name == "my_thing"]
    assert [p.kind for p in found] == [kind]
    assert found[0].load().__name__ == "MyThing"
    compile((here / "test_my_thing.py").read_text(), "test_my_thing.py", "exec")
    assert "from my_thing import MyThing" in (here / "test_my_thing.py").read_text()


@pytest.mark.parametrize(("name", "cls"), CLASSES.items())
def test_a_name_becomes_a_class(name, cls):
    assert Starter("explainer", name).class_name == cls


def test_an_explainer_is_fifteen_lines_to_edit():
    text = Starter("explainer", "my_method").files()["my_method.py"]
    code = text.partition('"""\n\n    # What')[2]
    lines = [x for x in code.splitlines() if x.strip() and not x.strip().startswith("#")]
    assert len(lines) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_its_contract(tmp_path, kind):
    """In a process of its own, as `xaibench check` does; what does not apply is no failure."""
    Starter(kind, "my_thing").write(tmp_path)
    results = list(run_checks(str(tmp_path / "my_thing.py"), (), 60.0, SilentProgress()))
    assert [(r.name, r.why) for r in results if r.failed] == []
    assert sum(r.state == "passed" for r in results) > 5


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Where the generated images of all configs are drawn, once."""
    return tmp_path_factory.mktemp("pictures") / "data"


@pytest.mark.parametrize("kind", KINDS)
def test_its_config_runs_to_a_row_of_its_own(tmp_path, pictures, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    for slow in ("draw_all", "write_page"):
        monkeypatch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
    Starter(kind, "my_thing").write(Path())
    words = ["images.count=2"]
    if kind != "dataset":
        words.append(f"dataset.synthetic.root={pictures}")
    folder = run(load_config("my_thing.yaml", words), "results", SilentProgress())
    rows = pd.read_parquet(folder / "scores.parquet")
    assert {"random", "grad_cam"} < set(rows["explainer"].dropna())
    named = {"dataset": "dataset", "explainer": "explainer", "metric": "metric"}.get(kind)
    if named:
        own = rows[rows[named].fillna("").str.startswith("my_thing")]
        assert set(own["status"]) <= {"ok", "constant"}
        assert len(own)
    assert "my_thing" in (folder / "config.yaml").read_text()
    assert "`random` (control)" in (folder / "leaderboard.md").read_text()


def test_nothing_is_overwritten(xaibench, tmp_path):
    (tmp_path / "my_thing.yaml").write_text("mine")
    code, out, err = xaibench("new", "metric", "my_thing", "--dir", tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        f"xaibench: {tmp_path / 'my_thing.yaml'} is there already, and nothing is overwritten; "
        "choose another name or --dir\n"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["my_thing.yaml"]


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("explaner", "mine", "unknown kind of plugin 'explaner'; allowed: dataset, explainer, "),
        ("explainer", "My-Method", "use small letters, digits and _, a letter first"),
        ("explainer", "1st", "use small letters, digits and _, a letter first"),
        ("explainer", "lambda", "use small letters, digits and _, a letter first"),
        ("explainer", "lime", "there is an explainer of that name; see `xaibench list`"),
        ("metric", "deletion", "there is a metric of that name; see `xaibench list`"),
        ("metric", "json", "Python has a module of that name, which it would hide"),
    ],
)
def test_a_name_that_cannot_be(xaibench, tmp_path, kind, name, said):
    code, out, err = xaibench("new", kind, name, "--dir", tmp_path)
    assert (code, out) == (2, "")
    assert said in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_offers_its_plugin(xaibench, tmp_path, monkeypatch, kind):
    """As pip would install it: its folder on the path, its entry points beside."""
    toy = f"toy_{kind}_of_mine"
    code, out, _ = xaibench("new", kind, toy, "--package", "--dir", tmp_path)
    place = tmp_path / toy
    assert code == 0
    assert out.splitlines()[-4:] == [
        f"  cd {place}",
        "  pip install -e .",
        f"  xaibench check {toy}",
        f"  xaibench run {toy}.yaml",
    ]
    project = tomllib.loads((place / "pyproject.toml").read_text())
    ((group, points),) = project["project"]["entry-points"].items()
    info = place / "src" / f"{toy}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {toy}\nVersion: 0.1.0\n")
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    for name in (toy, f"{toy}.{toy}"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(place / "src"))
    importlib.invalidate_caches()
    (found,) = [p for p in Registry().plugins() if p.name == toy]
    assert (found.kind, found.source, found.load().name) == (kind, toy, toy)
    assert "plugins:" not in (place / f"{toy}.yaml").read_text()
    load_config(place / f"{toy}.yaml")
    named = re.findall(r"src/\S+\.py", (place / "README.md").read_text())
    assert named
    assert all((place / name).is_file() for name in named)


def test_a_package_is_not_overwritten(tmp_path):
    Starter("model", "toy_again", package=True).write(tmp_path)
    with pytest.raises(UserError, match="are there already, and nothing is overwritten"):
        Starter("model", "toy_again", package=True).write(tmp_path)
