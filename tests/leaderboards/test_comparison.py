"""Two runs compared: paired by image, clustered by group, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_leaderboard import make_scores

from xaibench.leaderboards.comparison import compare, markdown, paired, write
from xaibench.store.finished import FinishedRun

METRICS = ["deletion", "insertion", "iou_top@centre_weak"]


def run(folder: Path, scores: pd.DataFrame, checksum: str = "abc") -> FinishedRun:
    folder.mkdir(parents=True)
    scores.to_parquet(folder / "scores.parquet")
    manifest = {"dataset": {"name": "toy", "checksum": checksum}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return FinishedRun(folder)


def better(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of another run: lime's are better, grad_cam's are the same but for noise."""
    rng = np.random.default_rng(5)
    sign = np.where(scores["higher_is_better"], 1, -1)
    gain = np.where(scores["explainer"] == "lime", 0.2, 0.0) * sign
    return scores.assign(value=scores["value"] + gain + rng.normal(0, 0.01, len(scores)))


def test_differences_are_of_pairs_and_second_less_first():
    one, two = make_scores(), better(make_scores())
    rows = paired(one, two, flips=200).set_index(["metric", "explainer"])
    assert len(rows) == 12
    for (metric, explainer), row in rows.iterrows():
        gaps = []
        for image in one["image"].unique():
            value = [
                t[(t["image"] == image) & (t["metric"] == metric) & (t["explainer"] == explainer)]
                for t in (one, two)
            ]
            gaps.append(value[1]["value"].item() - value[0]["value"].item())
        assert row["difference"] == pytest.approx(np.mean(gaps))
        assert row["difference"] == pytest.approx(row["second"] - row["first"])
        assert row["low"] < row["difference"] < row["high"]
        assert (row["n"], row["n_groups"]) == (24, 8)


def test_a_better_run_is_named_whichever_way_the_metric_points():
    one, two = make_scores(), better(make_scores())
    rows = paired(one, two, flips=500).set_index(["metric", "explainer"])
    assert rows["better"].xs("lime", level="explainer").tolist() == ["second"] * 3
    assert rows["better"].drop("lime", level="explainer").isna().all()
    turned = paired(two, one, flips=500).set_index(["metric", "explainer"])
    assert turned["better"].xs("lime", level="explainer").tolist() == ["first"] * 3
    np.testing.assert_allclose(turned["difference"], -rows["difference"])


def test_p_of_six_groups_is_that_of_all_sign_flips():
    """One comparison: p is the share of the 64 flips of group sums whose |t| is as large."""
    one = make_scores(12, 6)
    one = one[(one["metric"] == "deletion") & (one["explainer"] == "lime")]
    two = one.assign(value=one["value"] + np.tile([0.1, 0.2, 0.05, 0.3, -0.02, 0.1], 2))
    (row,) = paired(one, two).to_dict("records")
    sums = 2 * np.array([0.1, 0.2, 0.05, 0.3, -0.02, 0.1])  # two images a group
    flips = [[1 - 2 * (k >> g & 1) for g in range(6)] for k in range(64)]
    t = [abs((s * sums).mean()) / (s * sums).std(ddof=1) for s in np.array(flips)]
    assert row["p"] == pytest.approx(np.mean(np.array(t) >= t[0] * (1 - 1e-9)))


def test_values_without_a_partner_are_counted_and_take_no_part():
    one, two = make_scores(), better(make_scores())
    failed = (two["image"] == "i03") & (two["explainer"] == "lime")
    two.loc[failed, ["value", "status"]] = [np.nan, "failed"]
    two = two[two["image"] != "i05"]
    two.loc[two["image"] == "i07", "target"] = "normal"
    rows = paired(one, two, flips=50).set_index("explainer")
    assert rows.loc["lime", "n"].tolist() == [21] * 3
    assert rows.loc["lime", "only_first"].tolist() == [3] * 3
    assert rows.loc["lime", "only_second"].tolist() == [1] * 3  # that of the other target
    assert rows.loc["grad_cam", "n"].tolist() == [22] * 3
    lime = one[(one["explainer"] == "lime") & ~one["image"].isin(["i03", "i05", "i07"])]
    wanted = lime.groupby("metric", sort=False)["value"].mean()
    assert rows.loc["lime", "first"].tolist() == pytest.approx(wanted.tolist())


def test_of_several_training_seeds_an_item_is_their_mean():
    one, two = make_scores(), better(make_scores())
    seeds = pd.concat([two.assign(value=two["value"] + d, training_seed=d) for d in (-1, 1)])
    a, b = (paired(one, rows, flips=50) for rows in (two, seeds))
    np.testing.assert_allclose(a["difference"], b["difference"])
    assert b["n"].tolist() == a["n"].tolist()


def test_too_few_groups_are_said_and_nothing_is_better():
    rows = paired(make_scores(24, 5), better(make_scores(24, 5)))
    assert rows[["p", "low", "high", "better"]].isna().all(axis=None)
    assert rows["difference"].notna().all()
    assert set(rows["reason"]) == {"too few groups to test (5; 6 are needed)"}


def test_equal_runs_differ_in_nothing(tmp_path):
    found = compare(
        run(tmp_path / "a", make_scores()), run(tmp_path / "b", make_scores()), flips=50
    )
    assert found.made.empty
    assert found.notes == []
    assert found.scores["difference"].eq(0).all()
    assert found.scores["p"].eq(1).all()
    assert "Nothing: config, data, model, code and packages agree." in markdown(found, ("a", "b"))


def test_what_cannot_be_compared_is_named(tmp_path):
    alone = {"metric": "auroc", "explainer": None, "image": None, "protocol": "auroc[]"}
    about = make_scores().iloc[:1].assign(**alone)
    one = pd.concat([make_scores(), about.assign(value=0.9)])
    two = pd.concat([better(make_scores()), about.assign(value=0.8)])
    two.loc[two["metric"] == "deletion", "protocol"] = "deletion[steps=99]"
    two = two[two["explainer"] != "center_prior"]
    found = compare(run(tmp_path / "a", one), run(tmp_path / "b", two, "xyz"), flips=50)
    assert list(found.scores["metric"].unique()) == METRICS[1:]
    assert "center_prior" not in set(found.scores["explainer"])
    assert found.alone.to_numpy().tolist() == [["auroc", 0.9, 0.8]]
    text = markdown(found, ("one", "two"))
    assert "| data | checksum | abc | xyz |" in text
    assert "`deletion` is not compared: it is `deletion[fill=dataset_mean,steps=10]` in the" in text
    assert "images of one name need not be the same" in text
    assert "| `auroc` | 0.900 | 0.800 |" in text
    assert "- first: one; second: two; difference: second less first" in text


def test_runs_without_a_common_image_have_no_scores_to_compare(tmp_path):
    other = make_scores().assign(image=lambda rows: "x" + rows["image"])
    found = compare(run(tmp_path / "a", make_scores()), run(tmp_path / "b", other))
    assert found.scores.empty
    assert "- No image, explainer and metric is in both runs." in markdown(found, ("a", "b"))


def test_files_are_the_tables(tmp_path):
    runs = run(tmp_path / "a", make_scores()), run(tmp_path / "b", better(make_scores()))
    found = compare(*runs, flips=50)
    write(found, ("a", "b"), tmp_path / "out")
    assert (tmp_path / "out" / "comparison.md").read_text() == markdown(found, ("a", "b"))
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    np.testing.assert_allclose(table["difference"], found.scores["difference"])
    assert (tmp_path / "out" / "differences.csv").is_file()
