"""The table of probes: means over images and labels, and rows kept apart from explainers'."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards.probe_table import make, markdown, probe_table
from xaibench.leaderboards.summary import of_explainers, of_images, of_model_alone
from xaibench.store.finished import FinishedRun

LABELS = ["NORMAL", "PNEUMONIA", "PNEUMONIA", "NORMAL", "PNEUMONIA", "PNEUMONIA"]
BOUNDS = {"bound_low": -1.0, "bound_high": 1.0}
GROUPS = ["p0", "p0", "p1", "p2", "p3", "p3"]


def make_scores(labels=LABELS) -> pd.DataFrame:
    """Two probes of six images, beside rows of an explainer and of the model alone."""
    about = {"dataset": "cxr_synthetic", "split": "test", "model": "m", "run": "r", "reason": None}
    rng, rows = np.random.default_rng(0), []
    for explainer, metric in [
        (None, "probe@ring_0.1"),
        (None, "probe@square_10px"),
        ("cam", "deletion"),
    ]:
        for i, (label, group) in enumerate(zip(labels, GROUPS, strict=True)):
            row = {"explainer": explainer, "metric": metric, "image": f"i{i}", "group": group}
            row |= {
                "label": label,
                "target": LABELS[i],
                "value": rng.uniform(-1, 1),
                "status": "ok",
            }
            rows.append(about | row | {"protocol": f"{metric}[fill=0.5]", "params": "{}", **BOUNDS})
    alone = about | {"metric": "auroc", "value": 0.9, "protocol": "auroc", "status": "ok"}
    return pd.DataFrame([*rows, alone])


def cell(table: pd.DataFrame, metric: str, label: str) -> pd.Series:
    return table.set_index(["metric", "label"]).loc[(metric, label)]


def test_rows_of_explainers_images_and_the_model_are_told_apart():
    scores = make_scores()
    parts = [of_explainers(scores), of_images(scores), of_model_alone(scores)]
    assert [len(part) for part in parts] == [6, 12, 1]
    assert pd.concat(parts).index.is_unique
    assert set(parts[1]["metric"]) == {"probe@ring_0.1", "probe@square_10px"}
    assert set(parts[2]["metric"]) == {"auroc"}


def test_means_are_those_of_the_images_and_of_each_label():
    scores = make_scores()
    table = probe_table(scores)
    assert list(table["label"].unique()) == ["all", "NORMAL", "PNEUMONIA"]
    for metric in ("probe@ring_0.1", "probe@square_10px"):
        for label in ("all", "NORMAL", "PNEUMONIA"):
            rows = scores[(scores["metric"] == metric) & scores["explainer"].isna()]
            values = [
                v for v, own in zip(rows["value"], rows["label"], strict=True)
                if label in ("all", own)
            ]  # fmt: skip
            found = cell(table, metric, label)
            assert found["mean"] == pytest.approx(sum(values) / len(values), abs=1e-12)
            assert (found["n"], found["rows"]) == (len(values), len(values))
            if found["n_groups"] >= 4:
                assert found["low"] < found["mean"] < found["high"]
            else:
                assert np.isnan(found["low"])
    assert cell(table, "probe@ring_0.1", "all")["n_groups"] == 4


def test_equal_values_do_not_claim_certainty():
    """Six images of four patients that all drop by 0.25 do not prove that every image does."""
    table = probe_table(make_scores().assign(value=0.25))
    row = cell(table, "probe@ring_0.1", "all")
    assert row["mean"] == 0.25
    assert -1 < row["low"] < 0.25 < row["high"] < 1


def test_the_interval_is_clustered():
    """Twice as many images of the same patients, all alike, tell no more than before."""
    scores = make_scores()
    again = scores.assign(image="copy of " + scores["image"].astype(str))
    found = cell(probe_table(scores), "probe@ring_0.1", "all")
    twice = cell(probe_table(pd.concat([scores, again])), "probe@ring_0.1", "all")
    assert twice["n"] == 2 * found["n"]
    assert twice[["low", "high"]].tolist() == pytest.approx(found[["low", "high"]].tolist())


def test_one_group_has_no_interval_and_a_missing_value_is_said():
    scores = make_scores()
    hit = scores["image"].eq("i3") & scores["explainer"].isna()
    scores.loc[hit, ["value", "status", "reason"]] = [np.nan, "undefined", "too dark"]
    found = cell(probe_table(scores), "probe@ring_0.1", "NORMAL")
    assert (found["n"], found["rows"], found["n_groups"]) == (1, 2, 1)
    assert found["reason"] == "too dark"
    assert np.isnan(found["low"])
    text = markdown(probe_table(scores))
    assert f"{found['mean']:+.3f} [–] n=1/2" in text


def test_of_several_labels_the_targets_are_the_labels():
    table = probe_table(make_scores(labels=[None] * 6))
    assert list(table["label"].unique()) == ["all", "NORMAL", "PNEUMONIA"]


def test_a_run_writes_both_files_or_none(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": {"name": "cxr_synthetic"}}))
    make_scores().to_parquet(tmp_path / "scores.parquet")
    make(FinishedRun(tmp_path))
    read = pd.read_csv(tmp_path / "probes.csv")
    assert len(read) == 6
    text = (tmp_path / "probes.md").read_text(encoding="utf-8")
    assert "| `probe@square_10px` |" in text
    assert "cxr_synthetic (generated)" in text
    assert text.count("[fill=0.5]") == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps({"dataset": {"name": "x"}}))
    of_explainers(make_scores()).to_parquet(other / "scores.parquet")
    make(FinishedRun(other))
    assert not list(other.glob("probes*"))
