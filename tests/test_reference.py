"""What the committed reference results claim, read from their tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
REFERENCE, CONFIGS = ROOT / "results" / "reference", ROOT / "configs"
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


CONTROLS = {"center_prior", "random"}
SOME = {  # runs that leave explainers out, for time, or have more controls
    "pcam_subset_seeds": EXPLAINERS | {"edge"},
    "cxr_pneumonia_controls": EXPLAINERS | {"edge"},
    "nih_resnet18": CONTROLS | {"superpixel_occlusion", "grad_cam", "integrated_gradients"},
    "nih_small": EXPLAINERS - {"square_occlusion", "lime"},
    "pneumothorax_cam": CONTROLS | {"cam", "grad_cam"},
    "chexpert_regression_resnet50": (
        CONTROLS | {"superpixel_occlusion", "grad_cam", "integrated_gradients"}
    ),
}
METHODS = ("pcam_methods_resnet18", "pcam_methods_vit")  # every explainer that applies
SOME |= {
    name: set(yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["explainers"])
    for name in METHODS
}
RUNS = sorted(path.name for path in REFERENCE.iterdir() if path.is_dir())


def test_there_is_one_of_every_system():
    systems = {"cxr_pneumonia_efficientnet_b0", "cxr_pneumonia_subset", *SOME}
    patches = {"pcam_subset", "pcam_synthetic", "pcam_shortcut"}
    assert patches | systems == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_is_whole_and_calls_its_data_by_their_name(name):
    manifest, table = _manifest(name), _table(name)
    assert manifest["status"] == "finished"
    assert set(table.index.get_level_values("explainer")) == SOME.get(name, EXPLAINERS)
    assert set(table["dataset"]) == {manifest["dataset"]["name"]}
    assert manifest["dataset"]["generated"] == manifest["dataset"]["name"].endswith("_synthetic")
    defined = table[table["undefined"] < table["rows"]]  # no box of nih_small is in its test split
    assert (defined["failed"] == 0).all()
    assert len(defined) >= 0.4 * len(table)
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


LEARNT = ["label_randomisation@spearman", "weight_randomisation@ssim"]


def test_three_models_of_real_patches_are_told_with_their_controls():
    table = _table("pcam_subset_seeds")
    assert (table["seeds"] == 3).all()
    assert table["sd_seeds"].notna().all()
    # Nothing that knows no model may pass for one that does; the occlusions look at the model.
    for control in ("random", "center_prior", "edge"):
        for metric in LEARNT:
            assert table.loc[(control, metric), "depends"] == False  # noqa: E712
    for explainer in ("square_occlusion", "superpixel_occlusion"):
        for metric in LEARNT:
            assert table.loc[(explainer, metric), "depends"] == True  # noqa: E712
    assert table.loc[("square_occlusion", "srg_black"), "beats_random"] == True  # noqa: E712
    # The least relevant pixels deleted first are the most relevant ones restored, backwards.
    for fill, insertion in (("", "_mean"), ("_black", "_black"), ("_blur", "")):
        one = table.xs(f"deletion_lerf{fill}", level="metric")["mean"]
        other = table.xs(f"insertion{insertion}", level="metric")["mean"]
        pd.testing.assert_series_equal(one, other, atol=1e-5, check_names=False)


def test_every_pair_is_told():
    table = _table("pcam_subset_seeds")
    pairs = pd.read_csv(REFERENCE / "pcam_subset_seeds" / "leaderboard_pairs.csv")
    ranked = table.dropna(subset="rank").index.get_level_values("metric").nunique()
    assert len(pairs) == ranked * 9 * 8 / 2
    assert pairs["p"].notna().all()


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


def test_real_radiographs_reach_the_bar():
    """Patients in one split only, AUROC, permuted labels at chance, all explainers on 64 images."""
    manifest, table = _manifest("cxr_pneumonia_subset"), _table("cxr_pneumonia_subset")
    assert manifest["dataset"]["groups_in_two_splits"] == 0
    assert sum(manifest["dataset"]["images"].values()) == 5554
    scores = pd.read_parquet(REFERENCE / "cxr_pneumonia_subset" / "scores.parquet")
    alone = scores[scores["image"].isna()].set_index("metric")["value"]
    assert alone["auroc"] >= 0.985
    assert alone["shuffled_labels.low"] < 0.5 < alone["shuffled_labels.high"]
    assert table["images"].min() >= 64


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("cxr_pneumonia_efficientnet_b0", {"probes", "probes_summary", "superpixels", "bands"}),
        ("cxr_pneumonia_subset", {"probes", "superpixels", "bands", "stages_cover"}),
        ("nih_resnet18", {"roc", "true_positives", "training"}),
        ("nih_small", {"roc", "sheet_masks"}),
        ("pneumothorax_cam", {"roc", "failures", "panels"}),
        ("chexpert_regression_resnet50", {"roc", "panels"}),
    ],
)
def test_a_systems_own_figures_are_there(name, drawn):
    assert drawn <= {path.stem for path in (REFERENCE / name / "figures").glob("*.png")}


def test_every_finding_has_its_auroc_or_the_reason_why_not():
    for name in ("nih_resnet18", "nih_small"):
        rows = pd.read_csv(REFERENCE / name / "thresholds.csv")
        assert len(rows) == 14
        without = rows["auroc"].isna()
        assert rows.loc[without, "reason"].notna().all()
        assert ((rows["positives"] == 0) == without).all()


def test_the_submission_has_every_finding_of_every_test_image():
    folder = REFERENCE / "chexpert_regression_resnet50"
    table = pd.read_csv(folder / "submission.csv")
    manifest = _manifest("chexpert_regression_resnet50")
    assert len(table) == manifest["dataset"]["images"]["test"]
    assert list(table.columns[1:]) == list(manifest["model"]["labels"])
    assert table.iloc[:, 1:].stack().between(0, 1).all()
