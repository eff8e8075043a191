"""The four ways in: a file, a dotted path, a package's entry point, a file in our folder.

Each is run to its rows with one trained model, resumed, read back and verified.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from test_run import EXPLAINER, Lab

import xaibench
from xaibench.config.reading import load_config
from xaibench.config.run_config import dump
from xaibench.errors import UserError
from xaibench.progress import SilentProgress
from xaibench.runs.verifying import Asked, verify
from xaibench.store.provenance import plugin_version

METRIC = '''
from dataclasses import dataclass
from typing import ClassVar

from xaibench.metrics.base import MapMetric, Scores
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Level(MapMetric):
    """The mean of a map."""

    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score(self, model, batch, maps):
        return Scores({self.name: maps.mean((1, 2))})
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("draw_all", "write_page"):
            patch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
        yield Lab(tmp_path_factory.mktemp("ways"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package ``toy_methods`` as pip would install it, with entry points or without."""

    def install(entry_points: str = "") -> Path:
        site = tmp_path / "site"
        folder, info = site / "toy_methods", site / "toy_methods-1.0.dist-info"
        folder.mkdir(parents=True)
        info.mkdir()
        (folder / "__init__.py").write_text("from toy_methods.shade import Darkness\n")
        (folder / "shade.py").write_text(EXPLAINER)
        (folder / "level.py").write_text(METRIC)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-methods\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for name in [n for n in sys.modules if n.partition(".")[0] == "toy_methods"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        return folder

    return install


def small(*more: str) -> tuple[str, ...]:
    return ("metrics={deletion: {steps: 2}}", "images.count=2", *more)


def scores(folder: Path, explainer: str) -> pd.DataFrame:
    rows = pd.read_parquet(folder / "scores.parquet")
    return rows[rows["explainer"] == explainer]


def holds(folder: Path, explainer: str, images: int = 2) -> None:
    """The run has rows of the explainer, its config reads back, and it verifies."""
    rows = scores(folder, explainer)
    assert len(rows) >= images
    assert set(rows["status"]) == {"ok"}
    again = load_config(folder / "config.yaml")
    assert dump(again).replace(str(folder) + "/", "") == (folder / "config.yaml").read_text()
    found = list(verify(Asked(folder), SilentProgress()))
    assert [check for check in found if check.passed is False] == []


def test_a_file_beside_the_config(lab, tmp_path, monkeypatch):
    """It is found from anywhere, and comes before a file in the working directory."""
    beside, elsewhere = tmp_path / "configs", tmp_path / "elsewhere"
    beside.mkdir()
    elsewhere.mkdir()
    (beside / "darkness.py").write_text(EXPLAINER)
    (elsewhere / "darkness.py").write_text("raise RuntimeError('the wrong one')\n" + EXPLAINER)
    monkeypatch.chdir(elsewhere)
    plugins = f"plugins=[{lab.plugins[0]}, darkness.py]"
    config = tmp_path / "configs" / "c.yaml"
    settings = lab.settings(*small(plugins, "explainers={darkness: }"))
    config.write_text("name: mine\ndataset: {use: pcam, when_missing: synthesize}\n")
    checked = load_config(config, settings)
    assert checked.plugins[1] == str(beside / "darkness.py")
    monkeypatch.setattr("xaibench.runs.story.code_version", lambda: "same")
    folder = xaibench.run(checked, lab.folder / "out", SilentProgress())
    assert (folder / "plugins/darkness.py").read_text() == EXPLAINER
    (beside / "darkness.py").unlink()  # the run kept what it ran
    holds(folder, "darkness")
    kept = load_config(folder / "config.yaml")
    assert xaibench.run(kept, lab.folder / "out", SilentProgress()) == folder


def test_a_file_in_the_working_directory(lab, tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    (tmp_path / "darkness.py").write_text(EXPLAINER)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "deep" / "c.yaml"
    config.write_text("name: mine\ndataset: {use: pcam, when_missing: synthesize}\n")
    settings = lab.settings(f"plugins=[{lab.plugins[0]}, darkness.py]", "explainers={darkness: }")
    assert load_config(config, settings).plugins[1] == "darkness.py"


def test_a_file_that_is_in_neither_place(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "deep" / "c.yaml"
    config.parent.mkdir()
    config.write_text(
        "name: a\ndataset: {use: pcam}\nmodel: {use: timm}\nplugins:\n  - no.py\n"
        "explainers: {random: }\nmetrics: {deletion: }\n"
    )
    with pytest.raises(UserError) as caught:
        load_config(config)
    assert str(caught.value) == (
        f"{config}:5: plugins.0: no plugin file: neither {config.parent / 'no.py'} (beside the "
        f"config, which comes first) nor {tmp_path / 'no.py'} (working directory) is there"
    )


def test_a_dotted_path(lab, package):
    package()
    words = "explainers={shade: {use: 'toy_methods:Darkness'}}"
    metrics = "metrics={deletion: {steps: 2}, level: {use: 'toy_methods.level:Level'}}"
    folder = lab.run("out", *small(words), metrics)
    holds(folder, "shade", images=4)
    assert set(scores(folder, "shade")["metric"]) == {"deletion", "level"}
    assert "use: toy_methods:Darkness" in (folder / "config.yaml").read_text()
    assert lab.run("out", *small(words), metrics) == folder


def test_an_entry_point_of_an_installed_package(lab, package):
    package("[xaibench.explainers]\nshade = toy_methods.shade:Darkness\n")
    folder = lab.run("out", *small("explainers={shade: }"))
    holds(folder, "shade")


def test_a_file_in_our_folder(lab):
    folder = lab.run("out", *small("explainers={edge: }"))
    holds(folder, "edge")


def test_all_of_them_share_one_checkpoint(lab):
    """What is explained has no part in what is trained."""
    assert len(list((lab.folder / "out/cache/checkpoints").glob("*/"))) == 1


def test_a_grid_makes_rows_tables_and_maps(lab):
    words = "explainers={square_occlusion: {window: [48, 32], stride: 32}}"
    folder = lab.run("out", *small(words), "metrics={deletion: {steps: [2, 4]}}")
    labels = ["square_occlusion(window=48)", "square_occlusion(window=32)"]
    for label in labels:
        holds(folder, label, images=4)
        assert set(scores(folder, label)["metric"]) == {"deletion(steps=2)", "deletion(steps=4)"}
        params = json.loads(scores(folder, label)["params"].iloc[0])
        assert f"window={params['window']})" in label
    import h5py

    with h5py.File(folder / "maps.h5") as file:
        assert set(file["maps"]) == set(labels)
    assert all(label in (folder / "leaderboard.md").read_text() for label in labels)
    assert r"square\_occlusion(window=48)" in (folder / "leaderboard.tex").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["protocols"]) == {"deletion(steps=2)", "deletion(steps=4)"}


def id_of(lab: Lab, *settings: str) -> str:
    from test_run import TINY

    from xaibench.runs.story import identity
    from xaibench.store.run_folder import RunFolder

    config = load_config(TINY, lab.settings(*small(*settings)))
    return RunFolder(lab.folder / "ids", identity(config, "cpu")).run


def test_another_source_of_a_plugin_is_another_run(lab, tmp_path, package):
    """Of a file, of a module behind a dotted path, and of what that imports from its package."""
    file = tmp_path / "mine.py"
    file.write_text(EXPLAINER)
    words = (f"plugins=[{lab.plugins[0]}, {file}]", "explainers={mine: }")
    first = id_of(lab, *words)
    assert id_of(lab, *words) == first
    file.write_text(EXPLAINER.replace("1 - ", "2 - "))
    assert id_of(lab, *words) != first
    folder = package()
    dotted = "explainers={shade: {use: 'toy_methods.shade:Darkness'}}"
    first = id_of(lab, dotted)
    (folder / "level.py").write_text(METRIC + "# another\n")
    assert id_of(lab, dotted) != first


def test_where_a_plugin_file_lies_makes_no_other_run(lab, tmp_path):
    found = set()
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "mine.py"
        file.write_text(EXPLAINER)
        found.add(id_of(lab, f"plugins=[{lab.plugins[0]}, {file}]", "explainers={mine: }"))
    assert len(found) == 1


def test_plugins_of_one_stem_and_two_kinds_are_kept_apart(lab, tmp_path):
    files = [tmp_path / kind / "same.py" for kind in ("one", "two")]
    for file, source in zip(files, (EXPLAINER, METRIC), strict=True):
        file.parent.mkdir()
        file.write_text(source)
    words = f"plugins=[{lab.plugins[0]}, {files[0]}, {files[1]}]"
    folder = lab.run("out", *small(words, "explainers={same: }"), "metrics={same: }")
    holds(folder, "same")
    plugins = load_config(folder / "config.yaml").plugins
    assert [Path(name).read_text() for name in plugins[1:]] == [EXPLAINER, METRIC]


def test_the_version_of_a_plugin_ends_at_its_package(package):
    package()
    from toy_methods.shade import Darkness

    first = plugin_version(Darkness())
    assert plugin_version(Darkness()) == first != plugin_version()
