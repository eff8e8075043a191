"""Plugins are found by name without being imported, and each mistake has its own message."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import xaibench
from xaibench.errors import UserError
from xaibench.registry import KINDS, Registry, register

PLUGIN = '''
from dataclasses import dataclass

from xaibench.explainers.base import Explainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Edges(Explainer):
    """Mean of the channels.

    More words.
    """

    def attribute(self, model, batch):
        return batch.images.mean(1)
'''

DATASET_PLUGIN = '''
from xaibench.datasets.base import Dataset
from xaibench.registry import register


@register("dataset")
class Thing(Dataset):
    """A set."""

    def open(self, *, seed, cache, progress):
        raise NotImplementedError
'''


def put(folder: Path, name: str, source: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(source)
    return path


def refused(*files: Path) -> str:
    with pytest.raises(UserError) as caught:
        Registry(files)
    return str(caught.value)


def test_listing_imports_no_torch():
    code = (
        "from xaibench.registry import Registry; assert Registry().plugins(); import sys; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_marked_file_of_the_four_folders_is_listed():
    package = Path(xaibench.__file__).parent
    marked = {
        (kind, ".".join(path.relative_to(package / f"{kind}s").with_suffix("").parts))
        for kind in KINDS
        for path in (package / f"{kind}s").rglob("*.py")
        if f'\n@register("{kind}")\n' in path.read_text()
    }
    listed = {(p.kind, p.name) for p in Registry().plugins() if p.source == "xaibench"}
    assert listed == {(kind, name.replace("_.", ".")) for kind, name in marked}
    assert {"cam", "grad_cam", "lime", "random"} <= {name for _, name in marked}


@pytest.mark.parametrize("plugin", Registry().plugins(), ids=lambda p: f"{p.kind}:{p.name}")
def test_a_listed_plugin_has_a_summary_and_loads_under_its_name(plugin):
    assert plugin.summary.strip() == plugin.summary != ""
    assert "\n" not in plugin.summary
    assert plugin.source
    cls = Registry().load(plugin.kind, plugin.name)
    assert (cls.kind, cls.name) == (plugin.kind, plugin.name)
    assert cls.__module__.rpartition(".")[2] == plugin.name.rpartition(".")[2]


def test_plugins_are_sorted_by_kind_then_name():
    keys = [(KINDS.index(p.kind), p.name) for p in Registry().plugins()]
    assert keys == sorted(keys)


def test_a_file_of_the_user_is_a_plugin_named_by_its_stem(tmp_path):
    path = put(tmp_path, "my_edges.py", PLUGIN)
    registry = Registry([path])
    (found,) = [p for p in registry.plugins() if p.source == str(path)]
    assert (found.kind, found.name) == ("explainer", "my_edges")
    assert found.summary == "Mean of the channels."
    assert registry.load("explainer", "my_edges").name == "my_edges"
    assert "my_edges" not in Registry().names("explainer")


def test_listing_a_file_does_not_run_it(tmp_path):
    path = put(tmp_path, "loud.py", f"raise RuntimeError('ran')\n{PLUGIN}")
    registry = Registry([path])
    assert "loud" in registry.names("explainer")
    with pytest.raises(UserError, match=r"loud\.py: failed to import: RuntimeError: ran"):
        registry.load("explainer", "loud")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "{path}: no plugin; put @register('explainer') on its class"),
        (PLUGIN + DATASET_PLUGIN, "{path}: 2 plugins in one file; one plugin, one file"),
        ("def broken(:\n", "{path}: cannot be read as Python: invalid syntax"),
        (
            PLUGIN.replace('"explainer")', '"explaner")'),
            "{path}: unknown kind of plugin; allowed: dataset, explainer, metric, model "
            "(did you mean 'explainer'?)",
        ),
    ],
    ids=["none", "two", "syntax", "kind"],
)
def test_a_file_that_is_no_plugin_is_refused(tmp_path, source, message):
    path = put(tmp_path, "mine.py", source)
    assert refused(path).startswith(message.format(path=path))


def test_a_missing_file_is_named(tmp_path):
    assert refused(tmp_path / "no.py") == f"plugin file {tmp_path / 'no.py'} does not exist"


def test_one_name_twice_is_refused_and_both_places_are_named(tmp_path):
    one, two = (put(tmp_path / name, "same.py", PLUGIN) for name in "ab")
    assert refused(one, two) == (
        f"explainer 'same' is registered twice: by {one} and by {two}; rename one"
    )
    ours = put(tmp_path, "lime.py", PLUGIN)
    assert f"by xaibench and by {ours}" in refused(ours)


def test_the_mark_must_fit_the_class():
    with pytest.raises(UserError, match=r"@register\('metric'\) on a class that is no metric"):
        register("metric")(type("Plain", (), {}))


def test_a_mistyped_name_gets_the_nearest():
    with pytest.raises(UserError) as caught:
        Registry().load("explainer", "grdacam")
    count = len(Registry().names("explainer"))
    assert str(caught.value).startswith("unknown explainer 'grdacam' (did you mean 'grad_cam', ")
    assert str(caught.value).endswith(f"; `xaibench list` shows the {count} there are")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with plugins on the path, as pip would."""

    def put_package(name: str, entry_points: str, modules: dict[str, str]) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        put(info, "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        put(info, "entry_points.txt", entry_points)
        for module, source in modules.items():
            put(tmp_path, f"{module}.py", source)
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()

    return put_package


def test_a_package_offers_a_plugin_that_is_listed_without_import(install):
    install("xb-extra", "[xaibench.explainers]\nedges = xb_edges:Edges\n", {"xb_edges": PLUGIN})
    registry = Registry()
    (found,) = [p for p in registry.plugins() if p.name == "edges"]
    assert (found.kind, found.source) == ("explainer", "xb-extra")
    assert found.summary
    assert "xb_edges" not in sys.modules
    assert registry.load("explainer", "edges").name == "edges"


def test_a_broken_entry_point_says_so_only_when_it_is_asked_for(install):
    install(
        "xb-broken",
        "[xaibench.metrics]\nbroken = xb_broken:Metric\n",
        {"xb_broken": "import no_such_module_at_all\n"},
    )
    registry = Registry()
    assert "broken" in registry.names("metric")
    assert registry.load("metric", "deletion").name == "deletion"
    with pytest.raises(UserError) as caught:
        registry.load("metric", "broken")
    assert str(caught.value) == (
        "metric 'broken' of package xb-broken cannot be imported: ModuleNotFoundError: "
        "No module named 'no_such_module_at_all'"
    )


def test_an_entry_point_of_another_kind_is_refused(install):
    install("xb-wrong", "[xaibench.metrics]\nwrong = xb_wrong:Edges\n", {"xb_wrong": PLUGIN})
    with pytest.raises(UserError, match="entry point 'wrong' of package xb-wrong is no metric cla"):
        Registry().load("metric", "wrong")


def test_an_entry_point_cannot_take_a_name_of_ours(install):
    install("xb-twice", "[xaibench.explainers]\nlime = xb_lime:Edges\n", {"xb_lime": PLUGIN})
    assert "by xaibench and by xb-twice" in refused()


@pytest.mark.parametrize(
    ("required", "install"),
    [
        (importlib.metadata.requires("xaibench"), "'xaibench[torchcam]'"),
        (["torch>=2", 'torchcam>=0.5; extra == "torchcam"'], "'xaibench[torchcam]'"),
        (["Torch-Cam>=0.5; extra == 'torchcam'"], "torchcam"),
        (["torchcam>=0.5", 'xaibench[torchcam]; extra == "bench"'], "torchcam"),
        (None, "torchcam"),
    ],
    ids=["ours", "an extra's", "another's", "always required", "no metadata"],
)
def test_a_missing_package_is_told_with_the_extra_that_has_it(monkeypatch, required, install):
    """The family is `cam`, the extra `torchcam`: the package's name decides."""
    monkeypatch.setitem(sys.modules, "torchcam", None)
    monkeypatch.setitem(sys.modules, "torchcam.methods", None)
    for name in ("ss_cam", "is_cam"):
        monkeypatch.delitem(sys.modules, f"xaibench.explainers.cam_.{name}", raising=False)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: required)
    with pytest.raises(UserError) as caught:
        Registry().load("explainer", "cam.is_cam")
    assert str(caught.value) == (
        "explainer 'cam.is_cam' needs the package 'torchcam', which is not installed; "
        f"pip install {install}"
    )


def test_a_file_is_one_class_until_it_changes(tmp_path):
    """So that two configs of one file are equal, and an edited one is read anew."""
    path = put(tmp_path, "edges.py", PLUGIN)
    first = Registry([path]).load("explainer", "edges")
    assert Registry([path]).load("explainer", "edges") is first
    put(tmp_path, "edges.py", PLUGIN.replace("mean(1)", "amax(1)"))
    assert Registry([path]).load("explainer", "edges") is not first


def test_a_class_behind_a_dotted_path_is_one_class(install):
    install("xb-dotted", "", {"xb_dotted": PLUGIN})
    first = Registry().load("explainer", "xb_dotted:Edges")
    assert Registry().load("explainer", "xb_dotted:Edges") is first
    assert first.name == "xb_dotted:Edges"
    assert sys.modules["xb_dotted"].Edges.name == "xb_dotted"


def test_a_stem_with_a_dot_is_refused(tmp_path):
    path = put(tmp_path, "my.edges.py", PLUGIN)
    said = f"{path}: its stem is the plugin's name, which has no dot; rename it"
    assert refused(path) == said


def test_a_file_that_ends_the_process_is_told(tmp_path):
    path = put(tmp_path, "ends.py", f"{PLUGIN}\nraise SystemExit(3)\n")
    for _ in range(2):
        with pytest.raises(UserError, match=r"ends\.py: failed to import: SystemExit: 3"):
            Registry([path]).load("explainer", "ends")
