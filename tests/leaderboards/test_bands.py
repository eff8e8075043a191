"""Border and lungs by confidence, and leaderboards of each target, from a run's tables."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards import bands, by_target
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.statistics.means import of_rows
from xaibench.leaderboards.summary import summarise
from xaibench.store.finished import FinishedRun

BORDER = "border_mass[band=0.25,relevance=positive]"
LUNGS = "mass_accuracy@lungs_box_weak[relevance=positive]"
P = [0.5, 0.79, 0.8, 0.949, 0.95, 1.0, 0.49, 1.2]  # a regressor may give 1.2


def make_scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    metrics = {"deletion": "deletion[steps=1]", "border_mass": BORDER}
    metrics["mass_accuracy@lungs_box_weak"] = LUNGS
    metrics["mass_accuracy@evidence"] = "mass_accuracy@evidence[relevance=positive]"
    rows = [
        {
            "run": "r", "dataset": "toy_synthetic", "split": "test", "model": "net",
            "image": f"i{i // 2}", "group": f"g{i // 2}", "target": ["edema", "mass"][i % 2],
            "p_target": P[i % 8], "explainer": explainer, "control": explainer == "random",
            "metric": metric, "protocol": protocol, "higher_is_better": None,
            "value": rng.random(), "bound_low": 0.0, "bound_high": 1.0,
            "status": "ok", "reason": None,
        }
        for metric, protocol in metrics.items()
        for explainer in ("grad_cam", "random")
        for i in range(32)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def folder(tmp_path) -> Path:
    scores = make_scores()
    scores.to_parquet(tmp_path / "scores.parquet")
    items = scores.drop_duplicates(["image", "target"])
    predictions = items[["image", "group", "target", "p_target"]].assign(
        selected=True, predicted="mass", label_mass=1.0, label_edema=0.0, p_mass=0.7, p_edema=0.2
    )
    predictions.to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": {"name": "toy_synthetic"}}))
    lungs = np.zeros((32, 8, 12), "uint8")
    lungs[:, 2:6, 3:9] = 1
    lungs[4] = 0  # no lungs are known
    lungs[12, :4] = 1
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["ids"] = np.array(list(items["image"]), dtype="S")
        file["images"] = np.zeros((32, 8, 12, 1), "uint8")
        file["masks/lungs_box_weak"] = lungs
    return tmp_path


def test_bands_hold_their_lower_end_and_the_last_has_no_upper_one():
    rows = bands.table(make_scores())
    assert bands.band_names(bands.EDGES) == ["0.5 to 0.8", "0.8 to 0.95", "≥ 0.95"]
    assert list(rows["metric"].unique()) == ["border_mass", "mass_accuracy@lungs_box_weak"]
    counts = rows[rows["explainer"] == "grad_cam"].groupby("band")["rows"].unique()
    assert {band: list(n) for band, n in counts.items()} == {
        "0.5 to 0.8": [8],
        "0.8 to 0.95": [8],
        "≥ 0.95": [12],
    }


def test_means_and_intervals_are_their_literal_twin():
    scores = make_scores()
    scores.loc[(scores["image"] == "i2") & (scores["metric"] == "border_mass"), "status"] = "failed"
    rows = bands.table(scores).set_index(["metric", "band", "explainer"])
    row = rows.loc[("border_mass", "≥ 0.95", "grad_cam")]
    part = scores[(scores["metric"] == "border_mass") & (scores["explainer"] == "grad_cam")]
    part = part[part["p_target"] >= 0.95]
    known = part[part["status"] == "ok"]
    assert (row["n"], row["rows"], row["n_groups"]) == (10, 12, 7)
    assert row["mean"] == pytest.approx(known["value"].mean())
    told = of_rows(known)
    assert [row["low"], row["high"]] == pytest.approx([told["low"], told["high"]])
    assert row["low"] < row["mean"] < row["high"]


def test_chance_is_the_regions_share_of_the_image(folder):
    run = FinishedRun(folder)
    rows = bands.make(run).set_index(["metric", "band", "explainer"])
    # 8 x 12 pixels: 2 rows above and below, 3 columns left and right; 4 x 6 stay inside
    border = rows.loc["border_mass", "chance"]
    assert border.tolist() == pytest.approx([1 - 24 / 96] * len(border))
    lungs = rows.loc[("mass_accuracy@lungs_box_weak", "≥ 0.95", "grad_cam"), "chance"]
    # Places 4, 5, 7, 12, ... in the table; 4 has no lungs, 12 has 48 + 2 x 6 pixels of them.
    assert lungs == pytest.approx((10 * 24 / 96 + 60 / 96) / 11)
    assert len(run.csv("bands.csv")) == len(rows)


def test_another_seeds_targets_have_the_chance_of_their_own_masks(folder):
    """The second model is explained for other targets, and its lungs are the whole image."""
    scores = make_scores()
    turned = scores.assign(target=scores["target"].map({"edema": "fluid", "mass": "nodule"}))
    both = [scores.assign(training_seed=4), turned.assign(training_seed=1)]
    pd.concat(both).to_parquet(folder / "scores.parquet")
    read = pd.read_parquet(folder / "predictions.parquet")
    other = turned.drop_duplicates(["image", "target"])[["image", "target", "p_target"]]
    other = other.assign(group="g", selected=True, training_seed=1)
    predictions = pd.concat([read.assign(training_seed=4), other], ignore_index=True)
    predictions.to_parquet(folder / "predictions.parquet")
    with h5py.File(folder / "maps.h5", "a") as file:
        file["seeds/1/masks/lungs_box_weak"] = np.ones((32, 8, 12), "uint8")
    rows = bands.make(FinishedRun(folder)).set_index(["metric", "band", "explainer"])
    place = ("mass_accuracy@lungs_box_weak", "≥ 0.95", "grad_cam")
    row, alone = rows.loc[place], bands.table(scores).set_index(rows.index.names).loc[place]
    assert (row["n"], row["n_groups"]) == (2 * alone["n"], alone["n_groups"])  # no new patients
    first = (10 * 24 / 96 + 60 / 96) / 11  # one of the first's twelve has no lungs
    assert row["chance"] == pytest.approx((11 * first + 12 * 1) / 23)
    assert rows.loc["border_mass", "chance"].unique() == pytest.approx([0.75])


def test_a_run_without_either_has_no_bands(folder):
    scores = make_scores()
    scores[scores["metric"] == "deletion"].to_parquet(folder / "scores.parquet")
    assert bands.make(FinishedRun(folder)) is None
    assert not (folder / "bands.csv").exists()


# ------------------------------------------------------------------------------- by target


def test_each_target_has_the_leaderboard_of_its_own_rows(folder):
    auroc = pd.DataFrame({"label": ["mass", "edema"], "auroc": [0.75, np.nan]})
    auroc = auroc.assign(auroc_low=[0.5, np.nan], auroc_high=1.0, reason=[None, "all negative"])
    summary = by_target.make(ScoredRun(folder), auroc, flips=50)
    assert list(summary["target"].unique()) == ["mass", "edema"]  # the order of the outputs
    scores = make_scores()
    expected = summarise(scores[scores["target"] == "mass"], flips=50)
    found = summary[summary["target"] == "mass"].drop(columns="target")
    pd.testing.assert_frame_equal(found, expected)
    text = (folder / "leaderboard_by_target.md").read_text()
    assert "## Target mass: data set toy_synthetic (generated), model net, split test" in text
    assert "Model alone: auroc 0.750 [0.500, 1.000]." in text
    assert "(all negative)" in text
    assert len(pd.read_csv(folder / "leaderboard_by_target.csv")) == len(summary)


def test_each_training_seed_has_an_auroc_of_its_own_under_a_target(folder):
    auroc = pd.DataFrame({"label": ["mass", "edema"] * 2, "auroc": [0.75, 0.5, 0.25, 0.125]})
    auroc = auroc.assign(auroc_low=np.nan, auroc_high=np.nan, reason=None)
    by_target.make(ScoredRun(folder), auroc.assign(training_seed=[3, 3, 0, 0]))
    text = (folder / "leaderboard_by_target.md").read_text()
    assert "auroc (training seed 3) 0.750" in text
    assert "auroc (training seed 0) 0.250" in text
    assert "auroc (training seed 0) 0.125" in text


def test_one_target_has_no_table_of_its_own(folder):
    scores = make_scores()
    scores[scores["target"] == "mass"].to_parquet(folder / "scores.parquet")
    assert by_target.make(ScoredRun(folder)) is None
    assert not (folder / "leaderboard_by_target.csv").exists()
