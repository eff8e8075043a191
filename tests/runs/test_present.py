"""All that people read of a run is made of its tables, and made anew the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from xaibench.figures.choice import NO_FAILURE
from xaibench.leaderboards.robustness import FILES
from xaibench.progress import SilentProgress
from xaibench.runs.present import present

pytest_plugins = ["figures.conftest"]  # the fabricated run


@pytest.fixture
def run(finished_run, predictions, scores, monkeypatch):
    """A run without drawing, of two targets, with one metric that looks at the border."""
    names: list[str] = []
    monkeypatch.setattr(
        "xaibench.figures.draw.save", lambda figure, folder, name, formats: names.append(name) or []
    )
    for figure in ("panels", "curves", "agreement"):  # slow, and tested elsewhere
        monkeypatch.setattr(f"xaibench.figures.{figure}.of_run", lambda run: iter(()))
    target = dict(zip(predictions["image"], predictions["target"], strict=True))
    p_target = dict(zip(predictions["image"], predictions["p_target"], strict=True))
    iou = scores["metric"] == "iou_top@centre_weak"
    border = scores[iou].assign(
        metric="border_mass", protocol="border_mass[band=0.1,relevance=positive]"
    )
    rows = pd.concat([scores, border])
    rows = rows.assign(target=rows["image"].map(target), p_target=rows["image"].map(p_target))
    rows = rows.assign(label=None)
    rows.to_parquet(finished_run / "scores.parquet")
    (finished_run / "config.yaml").write_text("name: toy\n")
    manifest = {
        "name": "toy", "run": "r", "seed": 1,
        "dataset": {"name": "pcam_synthetic", "generated": True},
        "model": {"use": "net", "head": "softmax", "weights_used": "none"},
        "environment": {"device": "cpu"},
    }  # fmt: skip
    (finished_run / "manifest.json").write_text(json.dumps(manifest))
    return finished_run, names


def test_tables_figures_and_report_are_made_and_made_anew_the_same(run):
    folder, names = run
    present(folder, SilentProgress(), ("png",))
    tables = ["thresholds.csv", "roc.md", "bands.csv", "leaderboard_by_target.csv", *FILES]
    for name in tables:
        assert (folder / name).stat().st_size > 0
    assert names == [
        *("training", "ranking", "rank_intervals", "roc", "bands"),
        *("true_positives", "failures"),
    ]
    page = (folder / "report.html").read_text()
    assert "<h2>ROC and thresholds</h2>" in page
    assert "no threshold for `metastasis`: the run has no predictions of a split" in page
    assert "<summary>Target normal: data set pcam_synthetic (generated)" in page
    assert "by the score of the target</h2>" in page
    assert "<td>0.5 to 0.8</td>" in page
    assert NO_FAILURE not in page
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    present(folder, SilentProgress(), ("png",))
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_without_a_failure_the_report_says_so(run, predictions):
    folder, names = run
    right = predictions.assign(label=predictions["predicted"])
    right.to_parquet(folder / "predictions.parquet")
    present(folder, SilentProgress(), ("png",))
    assert "failures" not in names
    assert NO_FAILURE in (folder / "report.html").read_text()


def test_what_is_not_needed_is_not_imported(run):
    code = (
        "import sys; from pathlib import Path; from xaibench.runs.present import present; "
        "from xaibench.progress import SilentProgress; "
        f"present(Path({str(run[0])!r}), SilentProgress(), ('png',)); "
        "heavy = {'torch', 'sklearn', 'scikit_posthocs'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert (run[0] / "figures" / "roc.png").is_file()
