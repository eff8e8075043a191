"""The leaderboard within strata: which image is where, and what few groups may say."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from test_leaderboard import make_scores

from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.strata import by_confidence, by_evidence, by_outcome, make, table
from xaibench.leaderboards.summary import counted, summarise
from xaibench.store.schema import KEYS

IMAGES, SIDE = 24, 20
P = np.linspace(0.5, 0.97, IMAGES)
NAMES = [f"i{i:02d}" for i in range(IMAGES)]


def scores(groups: int = IMAGES) -> pd.DataFrame:
    rows = make_scores(IMAGES, groups)
    return rows.assign(label="tumour", p_target=rows["image"].map(dict(zip(NAMES, P, strict=True))))


def predictions() -> pd.DataFrame:
    """Return a row an image; every third is wrong, and two images are not explained."""
    table = pd.DataFrame({"image": NAMES, "group": NAMES, "label": "tumour", "target": "tumour"})
    wrong = np.arange(IMAGES) % 3 == 0
    table = table.assign(predicted=np.where(wrong, "normal", "tumour"), p_target=P, selected=True)
    table = table.assign(p_normal=1 - P, p_tumour=P)
    other = table.iloc[:2].assign(image=["x", "y"], target=None, selected=False)
    return pd.concat([table, other], ignore_index=True)


def masks() -> np.ndarray:
    """Return evidence that grows from image to image; the last six have none."""
    drawn = np.zeros((IMAGES, SIDE, SIDE), np.uint8)
    for i in range(IMAGES - 6):
        drawn[i].flat[: 4 * (i + 1)] = 1
    return drawn


@pytest.fixture
def run(tmp_path) -> Path:
    scores().to_parquet(tmp_path / "scores.parquet")
    predictions().to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": {"name": "toy"}}))
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["ids"] = NAMES
        file["masks/evidence"] = masks()
        file["masks/centre_weak"] = np.ones_like(masks())
    return tmp_path


def images(stratification, name: str) -> list[str]:
    parts = dict(stratification.parts(scores()))
    return sorted(parts[name]["image"].unique()) if name in parts else []


def test_confidence_is_below_between_and_above():
    found = by_confidence(scores())
    low, middle, high = (images(found, name) for name in found.names)
    assert found.names == ["below 0.6", "0.6 to 0.9", "above 0.9"]
    assert low == [n for n, p in zip(NAMES, P, strict=True) if p < 0.6]
    assert middle == [n for n, p in zip(NAMES, P, strict=True) if 0.6 <= p <= 0.9]
    assert high == [n for n, p in zip(NAMES, P, strict=True) if p > 0.9]
    edges = scores().assign(p_target=scores()["image"].map(lambda i: 0.6 if i < "i12" else 0.9))
    assert list(dict(by_confidence(edges).parts(edges))) == ["0.6 to 0.9"]


def test_outcome_is_whether_the_model_is_right():
    found = by_outcome(predictions().head(IMAGES))
    assert images(found, "wrong") == NAMES[::3]
    assert len(images(found, "correct")) == 16


def test_an_image_without_a_known_label_is_neither():
    rows = predictions().head(IMAGES).drop(columns="label")
    rows["label_tumour"] = [1.0, np.nan, 0.0] * 8
    found = by_outcome(rows)
    assert images(found, "correct") == NAMES[::3]
    assert images(found, "wrong") == NAMES[2::3]


def test_evidence_is_in_terciles_of_the_images_that_have_some():
    areas = masks().reshape(IMAGES, -1).mean(axis=1)
    found = by_evidence(predictions().head(IMAGES), areas)
    assert [images(found, name) for name in found.names] == [NAMES[:6], NAMES[6:12], NAMES[12:18]]
    assert found.names[0].startswith("small (up to 6.7% of the image)")  # 1 % and a third of 17 %


def test_each_stratum_is_what_its_rows_alone_come_to(run):
    rows = make(ScoredRun(run), flips=50)
    own = rows[rows["stratum"] == "0.6 to 0.9"].drop(columns=["strata", "stratum"])
    known = scores()
    wanted = summarise(known[known["p_target"].between(0.6, 0.9)], flips=50)
    for column in ("mean", "low", "p", "rank", "n", "tests"):
        assert own[column].tolist() == pytest.approx(wanted[column].tolist(), nan_ok=True)
    counts = rows.groupby(["strata", "stratum"], sort=False)["images"].first()
    assert counts.tolist() == [6, 6, 6, 5, 15, 4, 16, 8]


def test_too_few_groups_keep_their_rows_and_claim_nothing(run):
    rows = make(ScoredRun(run), flips=50)
    few = rows[rows["stratum"] == "above 0.9"]
    assert len(few) == 12
    assert (few["n"].unique().tolist(), few["groups"].unique().tolist()) == ([4], [4])
    claims = ["mean", "low", "high", "rank", "best", "letters", "difference", "p", "effect"]
    assert few[[*claims, "beats_random"]].isna().all(axis=None)
    reason = "too few groups to test (4; 6 are needed)"
    assert few["untested"].unique().tolist() == [reason]
    text = (run / "leaderboard_strata.md").read_text()
    assert f"split test, 4 images in 4 groups\n\n{reason}\n" in text
    assert "comparisons of this table" in text
    assert ".0 comparisons" not in text


def test_counts_are_those_of_the_whole_analysis():
    rows = scores(4)
    failed = rows.index[[0, 30, 31]]
    rows.loc[failed, ["value", "status", "reason"]] = [np.nan, "nan", "the map holds NaN"]
    few, whole = counted(rows), summarise(rows, flips=50)
    assert list(few.columns) == list(whole.columns)
    told = [*KEYS, "explainer", "metric", "confidence", "n", "n_groups", "rows", "images", "groups"]
    told += ["seeds", "failed", "nan", "constant", "undefined", "reason", "control"]
    told += ["higher_is_better", "protocol"]
    pd.testing.assert_frame_equal(few[told], whole[told])
    assert few.drop(columns=told).isna().all(axis=None)
    assert few["failed"].max() > 0


def test_empty_strata_and_ways_that_cannot_be_are_said(run):
    sure = scores().assign(p_target=0.95)
    sure.to_parquet(run / "scores.parquet")
    with h5py.File(run / "maps.h5", "r+") as file:
        del file["masks/evidence"]
    rows = make(ScoredRun(run), flips=50)
    assert list(rows["stratum"].unique()) == ["above 0.9", "correct", "wrong"]
    text = (run / "leaderboard_strata.md").read_text()
    assert "- not by the size of the evidence: no image has an annotated mask" in text
    assert (
        "- left out, since no explained image is in them: confidence below 0.6, confidence 0.6 to "
        "0.9\n" in text
    )


def test_a_prior_a_lung_field_and_a_tag_are_no_evidence(run):
    with h5py.File(run / "maps.h5", "r+") as file:
        del file["masks/evidence"]
        for name in ("lungs", "tag"):
            file[f"masks/{name}"] = masks()
    assert set(make(ScoredRun(run), flips=50)["strata"]) == {"confidence", "outcome"}


def test_without_predictions_confidence_is_left(run):
    (run / "predictions.parquet").unlink()
    assert set(make(ScoredRun(run), flips=50)["strata"]) == {"confidence"}
    assert "no predictions are kept" in (run / "leaderboard_strata.md").read_text()


def test_each_training_seed_has_its_own_confidence_outcome_and_evidence(run):
    """A second model that is unsure of all images, right about all, and shown one more mask."""
    one, two = scores().assign(training_seed=3), scores().assign(training_seed=1, p_target=0.55)
    pd.concat([one, two]).to_parquet(run / "scores.parquet")
    rows = predictions()
    other = rows.assign(training_seed=1, p_target=0.55, predicted="tumour")
    pd.concat([rows.assign(training_seed=3), other]).to_parquet(run / "predictions.parquet")
    with h5py.File(run / "maps.h5", "r+") as file:
        own = masks()
        own[-1].flat[:4] = 1
        file["seeds/1/masks/evidence"] = own
    found = make(ScoredRun(run), flips=50).groupby("stratum", sort=False)["rows"].first()
    assert found["below 0.6"] == 5 + IMAGES
    assert found["wrong"] == 8
    assert found["correct"] == 16 + IMAGES
    assert found.iloc[:3].sum() == 18 + 19


def test_the_file_reads_as_it_was_made(run):
    rows = make(ScoredRun(run), flips=50)
    again = ScoredRun(run).csv("leaderboard_strata.csv")
    assert list(again) == list(rows)
    assert again["mean"].tolist() == pytest.approx(rows["mean"].tolist(), nan_ok=True)


def test_no_stratum_at_all_is_an_empty_table():
    rows, empty = table(scores(), [])
    assert rows.empty
    assert empty == []
