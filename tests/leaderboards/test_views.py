"""Parts of a leaderboard: some metrics, apart by target or by finding, one format."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_leaderboard import make_scores

from xaibench.errors import UserError
from xaibench.leaderboards.summary import summarise
from xaibench.leaderboards.views import View, apart, of_metrics, shown


def put(folder: Path, scores: pd.DataFrame) -> Path:
    folder.mkdir(parents=True)
    scores.to_parquet(folder / "scores.parquet")
    (folder / "manifest.json").write_text(json.dumps({"dataset": {"name": "toy"}}))
    return folder


def labelled(images: int = 24) -> pd.DataFrame:
    """Return scores whose target is always the tumour, and whose label alternates."""
    scores = make_scores(images)
    number = scores["image"].str[1:].astype(int)
    return scores.assign(label=np.where(number % 3 == 0, "tumour", "normal"), p_target=0.9)


@pytest.fixture
def folder(tmp_path) -> Path:
    return put(tmp_path / "run", labelled())


def test_only_the_metrics_asked_for_are_shown_and_analysed_as_a_family(folder):
    texts = shown([folder], View(("deletion", "iou_top")))
    table = pd.read_csv(io.StringIO(texts["csv"]))
    assert list(table["metric"].unique()) == ["deletion", "iou_top@centre_weak"]
    whole = pd.read_csv(io.StringIO(shown([folder], View())["csv"]))
    assert (table["tests"].iloc[0], whole["tests"].iloc[0]) == (12, 18)
    own = whole[whole["metric"].isin(table["metric"])].reset_index(drop=True)
    pd.testing.assert_series_equal(table["mean"], own["mean"])
    assert "insertion" not in texts["md"]
    assert "insertion" not in texts["tex"]


def test_a_likeness_keeps_its_control():
    scores = pd.DataFrame({"metric": ["a@x", "a@x_control", "b", "a@y"]})
    assert of_metrics(scores, ["a@x"])["metric"].tolist() == ["a@x", "a@x_control"]
    assert len(of_metrics(scores, ["a"])) == 3
    assert len(of_metrics(scores, [])) == 4


def test_by_finding_is_by_the_true_label_and_by_target_by_what_was_explained(folder):
    by_target = pd.read_csv(io.StringIO(shown([folder], View((), "target"))["csv"]))
    assert set(by_target["target"]) == {"tumour"}
    texts = shown([folder], View(("deletion",), "finding"))
    table = pd.read_csv(io.StringIO(texts["csv"]))
    assert list(table["finding"].unique()) == ["normal", "tumour"]
    rows = labelled()
    wanted = summarise(rows[(rows["label"] == "tumour") & (rows["metric"] == "deletion")])
    found = table[table["finding"] == "tumour"]
    assert found["n"].unique().tolist() == [8]
    assert found["mean"].tolist() == pytest.approx(wanted["mean"].tolist())
    assert found["low"].tolist() == pytest.approx(wanted["low"].tolist(), nan_ok=True)
    assert "## Finding tumour: data set" in texts["md"]
    assert r"\label{tab:tumour:" in texts["tex"]
    labels = [line for line in texts["tex"].splitlines() if line.startswith(r"\label")]
    assert len(set(labels)) == len(labels) == 4


def test_of_several_labels_a_finding_is_a_target_that_is_there(tmp_path):
    scores = labelled(4).assign(label=None)
    scores["target"] = np.where(scores["image"].isin(["i00", "i01"]), "edema", "mass")
    folder = put(tmp_path / "run", scores)
    with pytest.raises(UserError, match=r"needs its predictions.parquet.* use --by target"):
        apart(scores, "finding", [folder])
    known = pd.DataFrame({"image": ["i00", "i01", "i02", "i03"]})
    known = known.assign(label_edema=[1.0, 0, 1, 1], label_mass=[0, 1.0, np.nan, 1])
    known.to_parquet(folder / "predictions.parquet")
    parts = apart(scores, "finding", [folder])
    assert {name: set(rows["image"]) for name, rows in parts.items()} == {
        "edema": {"i00"},
        "mass": {"i03"},
    }


def test_where_no_row_has_a_finding_it_is_said(tmp_path):
    scores = labelled(2).assign(label=None)
    folder = put(tmp_path / "run", scores)
    known = pd.DataFrame({"image": ["i00", "i01"], "label_tumour": [0.0, 0.0]})
    known.to_parquet(folder / "predictions.parquet")
    with pytest.raises(UserError, match="--by finding: no row of these runs has a finding"):
        apart(scores, "finding", [folder])
