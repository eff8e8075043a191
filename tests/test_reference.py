"""What the committed reference results claim, read from their tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

REFERENCE = Path(__file__).resolve().parents[1] / "results" / "reference"
EXPLAINERS = {
    "cam",
    "center_prior",
    "grad_cam",
    "integrated_gradients",
    "lime",
    "random",
    "square_occlusion",
    "superpixel_occlusion",
}


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / name / "leaderboard.csv").set_index(["explainer", "metric"])


def _manifest(name: str) -> dict:
    return json.loads((REFERENCE / name / "manifest.json").read_text())


def _better_than_random(table: pd.DataFrame, explainer: str, metric: str) -> bool:
    """Say whether the intervals do not touch, on the better side."""
    one, random = table.loc[(explainer, metric)], table.loc[("random", metric)]
    return one["low"] > random["high"] if one["higher_is_better"] else one["high"] < random["low"]


@pytest.mark.parametrize("name", ["pcam_subset", "pcam_synthetic", "pcam_shortcut"])
def test_is_whole_and_calls_its_data_by_their_name(name):
    manifest, table = _manifest(name), _table(name)
    assert manifest["status"] == "finished"
    assert set(table.index.get_level_values("explainer")) == EXPLAINERS
    assert set(table["dataset"]) == {manifest["dataset"]["name"]}
    assert manifest["dataset"]["generated"] == manifest["dataset"]["name"].endswith("_synthetic")
    assert (table["failed"] == 0).all()
    for file in ("leaderboard.md", "leaderboard.tex", "config.yaml", "scores.parquet"):
        assert (REFERENCE / name / file).is_file()
    drawn = {p.stem for p in (REFERENCE / name / "figures").glob("*.png")}
    assert {"panels", "curves", "ranking", "agreement", "training"} <= drawn


def test_real_patches_reach_the_bar():
    scores = pd.read_parquet(REFERENCE / "pcam_subset" / "scores.parquet")
    auroc = scores.loc[scores["metric"] == "auroc", "value"].item()
    assert auroc >= 0.88
    assert _table("pcam_subset")["images"].min() >= 64
    weak = [m for m in scores["metric"].unique() if "@" in m and "area" not in m]
    assert all(m.endswith("centre_weak") for m in weak)


@pytest.mark.parametrize("explainer", ["grad_cam", "superpixel_occlusion", "lime"])
def test_explainers_beat_chance_where_the_evidence_is_known(explainer):
    table = _table("pcam_synthetic")
    assert _better_than_random(table, explainer, "deletion")
    assert _better_than_random(table, explainer, "mass_accuracy@evidence")
    assert _better_than_random(table, explainer, "iou_top@evidence")


@pytest.mark.parametrize("explainer", ["grad_cam", "superpixel_occlusion", "lime"])
def test_a_shortcut_moves_the_maps_to_the_tag(explainer):
    """More mass lies on the tag than chance gives, and less on the tumour than without the tag."""
    shortcut, clean = _table("pcam_shortcut"), _table("pcam_synthetic")
    assert _better_than_random(shortcut, explainer, "mass_accuracy@tag")
    evidence = "mass_accuracy@evidence"
    assert shortcut.loc[(explainer, evidence), "mean"] < clean.loc[(explainer, evidence), "mean"]
