"""The command ``figures``, and in which formats ``report`` draws."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xaibench.store.schema import SCORES


@pytest.fixture
def run(tmp_path) -> Path:
    """A run with scores alone: two figures."""
    rows = [
        {
            "run": "r", "dataset": "toy", "split": "test", "model": "net", "image": f"i{i}",
            "group": f"i{i}", "label": "a", "target": "a", "p_target": 0.9,
            "explainer": explainer, "params": "{}", "control": explainer == "random",
            "metric": "deletion", "protocol": "deletion[steps=4]", "higher_is_better": False,
            "value": value + i / 100, "status": "ok",
        }
        for explainer, value in (("random", 0.6), ("lime", 0.3))
        for i in range(8)
    ]  # fmt: skip
    folder = tmp_path / "run"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCORES), folder / "scores.parquet")
    manifest = {
        "name": "toy", "run": "r", "seed": 1, "status": "finished",
        "dataset": {"name": "toy", "generated": False},
        "model": {"use": "net", "head": "softmax", "weights_used": "none"},
        "environment": {"device": "cpu"},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "config.yaml").write_text("name: toy\n")
    return folder


def drawn(run: Path) -> set[str]:
    return {path.name for path in (run / "figures").iterdir()}


def test_figures_draws_the_formats_that_are_named(xaibench, run):
    code, out, _ = xaibench("figures", run, "--format", "pdf", "--format", "svg")
    assert (code, out) == (0, f"Figures: 4 in {run / 'figures'}\n")
    names = {"ranking", "rank_intervals"}
    assert drawn(run) == {f"{name}.{ending}" for name in names for ending in ("pdf", "svg")}
    assert (run / "figures" / "ranking.pdf").read_bytes().startswith(b"%PDF")
    assert (run / "figures" / "ranking.svg").read_text().startswith("<?xml")
    assert xaibench("figures", run)[0] == 0
    assert {name for name in drawn(run) if name.endswith(".png")} == {f"{n}.png" for n in names}


def test_report_draws_anew_what_is_there_and_png(xaibench, run):
    (run / "figures").mkdir()
    old = run / "figures" / "ranking.svg"
    old.write_text("of before")
    assert xaibench("report", run)[0] == 0
    assert drawn(run) == {
        f"{name}.{ending}" for name in ("ranking", "rank_intervals") for ending in ("png", "svg")
    }
    assert old.read_text() != "of before"
    assert "data:image/png;base64," in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--format", "pfd"),
            "--format: unknown 'pfd'; allowed: pdf, png, svg (did you",
        ),
        ((), "no manifest.json; give the folder of a finished run"),
    ],
)
def test_a_mistake_is_one_line(xaibench, tmp_path, words, said):
    code, out, err = xaibench("figures", tmp_path, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
