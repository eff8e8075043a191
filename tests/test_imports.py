"""Imports flow one way: plugins know contracts, nobody knows plugins, tables know no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import xaibench
from xaibench.registry import KINDS

PACKAGE = Path(xaibench.__file__).parent


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def is_plugin(name: str) -> bool:
    marks = [
        ast.unparse(mark)
        for node in TREES[name].body
        if isinstance(node, ast.ClassDef)
        for mark in node.decorator_list
    ]
    return any(mark.startswith("register(") for mark in marks)


PLUGINS = sorted(filter(is_plugin, MODULES))


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def imported(name: str, lazily: bool = True) -> set[str]:
    """Return every module that a module imports, by its full name.

    Imports for type checkers do not happen; those inside functions only count if ``lazily``.
    """
    found: set[str] = set()
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]

    def visit(node: ast.AST) -> None:
        if is_typing_only(node):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazily:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:  # a module may be imported from its package
                whole = f"{source}.{alias.name}"
                found.add(whole if whole in MODULES else source)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(TREES[name])
    return found


def ours(name: str, lazily: bool = True) -> set[str]:
    """Return the modules of the package that a module imports, without the ``xaibench`` of all."""
    return {m for m in imported(name, lazily) if m.startswith("xaibench.")}


def reached(name: str) -> set[str]:
    """Return every module of the package that importing a module brings with it."""
    seen, left = set(), {name}
    while left:
        module = left.pop()
        seen.add(module)
        left |= (ours(module, lazily=False) & MODULES.keys()) - seen
    return seen


def third_party(name: str) -> set[str]:
    return {m.partition(".")[0] for module in reached(name) for m in imported(module, lazily=False)}


def test_the_reader_of_imports_sees_what_is_there():
    assert len(PLUGINS) > 15
    assert {"xaibench.explainers.cam", "xaibench.datasets.pcam"} <= set(PLUGINS)
    assert "xaibench.explainers.base" not in PLUGINS
    assert "xaibench.run" in ours("xaibench.cli")
    assert "xaibench.run" not in ours("xaibench.cli", lazily=False)
    assert "xaibench.explainers.base" not in ours("xaibench.config")
    assert "torch" in third_party("xaibench.run")


def test_every_import_from_the_package_exists():
    missing = {name: ours(name) - MODULES.keys() for name in MODULES}
    assert {name: modules for name, modules in missing.items() if modules} == {}


def test_there_are_no_import_cycles():
    graph = {name: (ours(name, lazily=False) & MODULES.keys()) - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_there_is_no_module_of_odds_and_ends():
    odd = {"utils", "util", "helpers", "common", "misc"}
    assert [name for name in MODULES if odd & set(name.split("."))] == []


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("errors", set()),
        ("precision", set()),
        ("progress", set()),
        ("atomic", set()),
        ("workers", set()),
        ("segmentation", {"errors"}),
        ("label_maps", {"atomic", "segmentation"}),
        ("segments", {"label_maps", "segmentation", "workers"}),
        ("types", {"segments"}),
        ("registry", {"errors"}),
        ("document", {"errors"}),
    ],
)
def test_the_ground_floor_rests_on_nothing_else(name, allowed):
    assert ours(f"xaibench.{name}") <= {f"xaibench.{other}" for other in allowed}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_knows_contracts_and_its_own_folder_only(name):
    folder = name.rpartition(".")[0]
    ground = ("types", "errors", "masking", "models.base", "randomness", "registry", "progress")
    ground += ("segmentation",)  # how an explainer divides images, where it does so itself
    ground += ("precision",)  # the words for how the engine computes
    ground += ("probes",)  # which parts of an image a probe hides, for the metric and its figure
    # Opening a data set may take long, and says so.
    allowed = {f"xaibench.{other}" for other in ground} | {f"{folder}.base"}
    helpers = {m for m in MODULES if m.startswith(f"{folder}.") and m not in PLUGINS}
    assert ours(name) - allowed - helpers == set()


@pytest.mark.parametrize("name", sorted(MODULES.keys() - set(PLUGINS)))
def test_nobody_imports_a_plugin_by_name(name):
    assert ours(name) & set(PLUGINS) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_contract_rests_on_no_runner(kind):
    above = {"cli", "run", "config", "results", "scoring", "selection", "leaderboard", "checks"}
    assert {m.split(".")[1] for m in reached(f"xaibench.{kind}s.base")} & above == set()


def test_only_the_command_line_and_the_run_stand_on_top():
    users = {name for name in MODULES if "xaibench.run" in ours(name)}
    assert users <= {"xaibench.cli", "xaibench"}
    assert {name for name in MODULES if "xaibench.cli" in ours(name)} == set()


SIDE_OF_TABLES = sorted(
    name
    for name in MODULES
    if name in ("xaibench.leaderboard", "xaibench.results")
    or name.startswith(("xaibench.figures", "xaibench.report"))
)


@pytest.mark.parametrize("name", SIDE_OF_TABLES)
def test_tables_and_figures_never_import_torch(name):
    assert third_party(name) & {"torch", "torchvision", "timm", "captum"} == set()


@pytest.mark.parametrize(
    "name",
    [
        "config",
        "cli",
        "cli_data",
        "registry",
        "explainers.quickshift",
        "label_maps",
        "segmentation",
        "workers",
        "training.options",
        *sorted(n.removeprefix("xaibench.") for n in MODULES if ".datasets." in n),
    ],
)
def test_what_checks_a_config_imports_no_torch(name):
    assert "torch" not in third_party(f"xaibench.{name}")


def test_tables_figures_and_config_bring_no_torch_when_imported():
    code = (
        "import xaibench, xaibench.leaderboard, xaibench.figures.draw, xaibench.config, "
        "xaibench.cli, xaibench.results, sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
