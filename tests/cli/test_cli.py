"""The command line: tables and exit codes; a user's mistake is one line, without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xaibench.registry import Registry
from xaibench.runs import story as run_module
from xaibench.runs import verifying
from xaibench.store import run_folder as results

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"
GOOD = '''
from dataclasses import dataclass

from xaibench.explainers.base import Explainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Drop(Explainer):
    """Score of the target, spread over the brightness."""

    def attribute(self, model, batch):
        scores = model.score(batch.images, batch.targets).detach()
        return scores[:, None, None] * batch.images.mean(1)
'''
BAD = GOOD.replace("scores[:, None, None] * ", "scores.sum() * ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "no.yaml"), "no.yaml: no such config (working directory "),
        (("run", TINY, "--set", "training.epohcs=1"), "--set training.epohcs=1: training.epohcs: "),
        (("run", TINY, "--set", "explainers.grdacam="), " (did you mean 'grad_cam', "),
        (("run", TINY, "--device", "gpu"), "--set device=gpu: device: must match"),
        (("list", "--kind", "explaner"), "--kind: unknown kind 'explaner'; allowed: dataset, "),
        (("list", "--plugin", "no.py"), "plugin file no.py does not exist"),
        (("check", "no.py"), "plugin file no.py does not exist"),
        (("check", "explainer:grdacam"), "unknown explainer 'grdacam' (did you"),
        (("check", "grdacam"), "unknown plugin 'grdacam' (did you mean 'grad_cam', "),
        (("leaderboard", "no/such/folder"), "no/such/folder"),
        (("report", "no/such/folder"), "no/such/folder"),
        (("verify", "no/such/folder"), "no/such/folder"),
        (("compare", "no/such/folder", "no/other"), "no/such/folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(xaibench, words, said):
    code, out, err = xaibench(*words)
    assert (code, out) == (2, "")
    assert err.startswith("xaibench: ")
    assert err.count("\n") == 1
    assert said in err
    assert "Traceback" not in err


def test_a_mistake_is_told_by_the_installed_command():
    command = [sys.executable, "-c", "from xaibench.cli import main; main()", "run", "no.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"xaibench: no.yaml: no such config (working directory {Path.cwd()})"
    ]


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_without_a_command_help_is_shown(xaibench, words):
    _, out, err = xaibench(*words)
    for command in ("run", "list", "check", "leaderboard", "report"):
        assert f" {command} " in out + err


@pytest.mark.parametrize("words", [("bogus",), ("run",), ("run", TINY, "--sett", "a=b")])
def test_an_unknown_command_or_option_is_exit_code_2(xaibench, words):
    code, out, err = xaibench(*words)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_list_shows_every_plugin_and_imports_no_torch():
    code = (
        "import sys\nfrom xaibench.cli import main\ntry:\n    main()\nfinally:\n"
        "    assert 'torch' not in sys.modules"
    )
    for words in (["list"], ["list", "--json"]):
        command = [sys.executable, "-c", code, *words]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert all(plugin.name in out for plugin in Registry().plugins())
    rows = json.loads(out)
    assert [(row["kind"], row["name"]) for row in rows] == [
        (plugin.kind, plugin.name) for plugin in Registry().plugins()
    ]
    assert all(set(row) == {"kind", "name", "summary", "source"} for row in rows)


def test_list_can_be_narrowed_to_a_kind(xaibench):
    code, out, _ = xaibench("list", "--json", "--kind", "explainer")
    assert code == 0
    assert {row["kind"] for row in json.loads(out)} == {"explainer"}


def test_list_takes_a_plugin_file(xaibench, tmp_path):
    file = tmp_path / "drop.py"
    file.write_text(GOOD)
    code, out, _ = xaibench("list", "--json", "--plugin", file)
    assert code == 0
    assert {
        "kind": "explainer",
        "name": "drop",
        "summary": "Score of the target, spread over the brightness.",
        "source": str(file),
    } in json.loads(out)


def put_run(folder: Path, model: str, protocol: str = "deletion[steps=4]") -> Path:
    """Write what the leaderboard reads of a finished run."""
    folder.mkdir(parents=True)
    rows = [
        {
            "run": folder.name, "dataset": "toy", "split": "test", "model": model,
            "image": f"i{i}", "group": f"i{i}", "label": "a", "target": "a", "p_target": 0.9,
            "explainer": explainer, "params": "{}", "control": explainer == "random",
            "metric": "deletion", "protocol": protocol, "higher_is_better": False,
            "value": value + i / 100, "status": "ok",
        }
        for explainer, value in (("random", 0.6), ("lime", 0.3))
        for i in range(8)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=results.SCORES), folder / "scores.parquet")
    manifest = {"status": "finished", "dataset": {"name": "toy"}, "model": {"use": model}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_leaderboard_merges_runs(xaibench, tmp_path):
    one, two = (put_run(tmp_path / model, model) for model in ("resnet18", "vgg11"))
    code, out, err = xaibench("leaderboard", one, two, "--out", tmp_path / "merged")
    assert (code, err) == (0, "")
    assert all(word in out for word in ("resnet18", "vgg11", "lime", "random", "deletion"))
    for ending in ("csv", "md", "tex"):
        assert (tmp_path / "merged" / f"leaderboard.{ending}").stat().st_size > 0
    table = pd.read_csv(tmp_path / "merged" / "leaderboard.csv")
    assert set(zip(table["model"], table["explainer"], strict=True)) == {
        (model, explainer) for model in ("resnet18", "vgg11") for explainer in ("lime", "random")
    }


def test_leaderboard_prints_one_format_and_writes_only_where_it_is_told(xaibench, tmp_path):
    run = put_run(tmp_path / "run", "resnet18")
    before = sorted(run.iterdir())
    code, out, err = xaibench("leaderboard", run, "--format", "csv", "--metric", "deletion")
    assert (code, err) == (0, "")
    assert out.startswith("dataset,split,model,explainer,metric,mean")
    assert sorted(run.iterdir()) == before
    words = ("--by", "target", "--format", "tex", "--out", tmp_path / "new")
    code, out, _ = xaibench("leaderboard", run, *words)
    assert code == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["leaderboard_by_target.tex"]
    assert (tmp_path / "new" / "leaderboard_by_target.tex").read_text() == out
    xaibench("leaderboard", run, "--by", "finding", "--out", tmp_path / "all")
    assert {path.suffix for path in (tmp_path / "all").iterdir()} == {".md", ".tex", ".csv"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "deltion"), "--metric: unknown metric 'deltion'; allowed: deletion (did you"),
        (("--by", "label"), "--by: unknown 'label'; allowed: finding, target"),
        (("--format", "latex"), "--format: unknown 'latex'; allowed: csv, md, tex (did you"),
    ],
)
def test_leaderboard_names_what_is_allowed(xaibench, tmp_path, words, said):
    code, out, err = xaibench("leaderboard", put_run(tmp_path / "run", "vgg11"), *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"xaibench: {said}")


def test_leaderboard_refuses_to_merge_protocols(xaibench, tmp_path):
    one = put_run(tmp_path / "one", "resnet18")
    two = put_run(tmp_path / "two", "vgg11", "deletion[steps=9]")
    code, out, err = xaibench("leaderboard", one, two)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "deletion[steps=4]" in err
    assert "deletion[steps=9]" in err


def test_compare_prints_what_differs_and_writes_where_it_is_told(xaibench, tmp_path):
    one, two = (put_run(tmp_path / model, model) for model in ("resnet18", "vgg11"))
    code, out, err = xaibench("compare", one, two, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "| model | use | resnet18 | vgg11 |" in out
    assert "| `lime` | deletion ↓ | 0.335 | 0.335 | +0.000 [–] | 1.000 |" in out
    assert (tmp_path / "out" / "comparison.md").read_text() + "\n" == out
    assert (tmp_path / "out" / "comparison.csv").is_file()


def test_run_prints_the_leaderboard_and_where_the_results_are(xaibench, tmp_path, monkeypatch):
    def done(config, out, progress):
        progress.say("Working")
        folder = out / config.name / "abc"
        folder.mkdir(parents=True)
        (folder / "leaderboard.md").write_text("| a table |")
        return folder

    monkeypatch.setattr(run_module, "run", done)
    code, out, err = xaibench("run", TINY, "--out", tmp_path)
    assert code == 0
    assert out == f"| a table |\nResults: {tmp_path / 'tiny' / 'abc'}\n"
    assert err == "Working\n"


def test_ctrl_c_is_exit_code_130(xaibench, tmp_path, monkeypatch):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "run", stopped)
    code, out, err = xaibench("run", TINY, "--out", tmp_path)
    assert (code, out) == (130, "")
    assert err == (
        "xaibench: stopped; what is done is kept, and the same command goes on from there\n"
    )


@pytest.mark.parametrize(("passed", "code", "told"), [(None, 0, "verified"), (False, 1, "1 of 2")])
def test_verify_prints_every_check_and_fails_where_one_does(
    xaibench, tmp_path, monkeypatch, passed, code, told
):
    asked = []

    def verify(what, progress):
        asked.append(what)
        yield verifying.Check("files", "12 tables and maps are as they were written", True)
        yield verifying.Check("lime, block 3", "largest [difference] 0.1", passed)

    monkeypatch.setattr(verifying, "verify", verify)
    found, out, err = xaibench("verify", tmp_path, "--cells", 5, "--tolerance", 0.001)
    assert (found, err) == (code, "")
    (what,) = asked
    assert (what.folder, what.cells, what.tolerance, what.cache) == (tmp_path, 5, 0.001, None)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1] == "ok files 12 tables and maps are as they were written"
    mark = "note" if passed is None else "FAILED"
    assert lines[2] == f"{mark} lime, block 3 largest [difference] 0.1"
    assert lines[3].startswith(told)
    assert "(tolerance 0.001)" in lines[3]
