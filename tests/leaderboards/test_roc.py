"""AUROC, its interval and Youden's threshold against literal twins and closed forms."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards import thresholds
from xaibench.leaderboards.roc import Label, auroc, auroc_interval, curve, labels_of, youden
from xaibench.store.finished import FinishedRun

NAN = math.nan


def drawn(seed: int, n: int = 40, levels: int = 12) -> Label:
    """Return a label with many tied scores."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    truth[:2] = (True, False)
    scores = np.round((rng.random(n) + 0.3 * truth) * levels) / levels
    return Label("edema", truth, scores, np.array([f"g{i // 3}" for i in range(n)]))


def twin_auroc(truth, scores, weights) -> float:
    """Count pairs, one by one."""
    won = pairs = 0.0
    for i, positive in enumerate(truth):
        for j, other in enumerate(truth):
            if positive and not other:
                weight = weights[i] * weights[j]
                pairs += weight
                won += weight * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    return won / pairs if pairs else NAN


def twin_youden(truth, scores) -> tuple[float, float, float]:
    """Try every score from high to low; a later one must be better to be taken."""
    best = None
    for threshold in sorted(set(scores), reverse=True):
        hits = sum(1 for t, s in zip(truth, scores, strict=True) if t and s >= threshold)
        spared = sum(1 for t, s in zip(truth, scores, strict=True) if not t and s < threshold)
        positives, negatives = sum(truth), len(truth) - sum(truth)
        j = hits * negatives + spared * positives
        if best is None or j > best[0]:
            best = (j, threshold, hits / positives, spared / negatives)
    return best[1:]


@pytest.mark.parametrize("seed", range(5))
def test_auroc_equals_the_share_of_pairs(seed):
    label = drawn(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (6, 40)).astype(float)
    weights[5] = label.truth  # no negative left
    expected = [twin_auroc(label.truth, label.scores, row) for row in weights]
    np.testing.assert_allclose(auroc(label, weights), expected, rtol=1e-12)
    assert auroc(label)[0] == pytest.approx(twin_auroc(label.truth, label.scores, [1] * 40))


@pytest.mark.parametrize("seed", range(20))
def test_youden_equals_the_literal_twin(seed):
    label = drawn(seed)
    point = youden(label)
    expected = twin_youden(label.truth.tolist(), label.scores.tolist())
    assert (point.value, point.sensitivity, point.specificity) == pytest.approx(expected)


def test_closed_forms():
    truth, groups = np.array([True, True, False, False]), np.array(list("abcd"))
    perfect = Label("x", truth, np.array([0.9, 0.7, 0.4, 0.1]), groups)
    assert auroc(perfect).tolist() == [1.0]
    assert youden(perfect).value == 0.7
    turned = Label("x", truth, -perfect.scores, groups)
    assert auroc(turned).tolist() == [0.0]
    assert youden(turned).value == -0.9  # J is 0 at best: everything is called positive
    same = Label("x", truth, np.full(4, 0.5), groups)
    assert auroc(same).tolist() == [0.5]
    false, true, _ = curve(perfect)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_of_equal_thresholds_the_highest_is_taken():
    # J = 1/2 at 0.9 (sensitivity 1/2, specificity 1) and at 0.5 (1, 1/2)
    label = Label("x", np.array([1, 0, 1, 0]) == 1, np.array([0.9, 0.7, 0.5, 0.1]), np.arange(4))
    point = youden(label)
    assert (point.value, point.sensitivity, point.specificity) == (0.9, 0.5, 1.0)


def test_the_interval_resamples_whole_groups():
    label = drawn(3, n=60)
    low, high = auroc_interval(label, resamples=400, seed=1)
    groups = sorted(set(label.groups))
    rng = np.random.default_rng(1)
    areas = []
    for counts in rng.multinomial(len(groups), [1 / len(groups)] * len(groups), size=400):
        count = dict(zip(groups, counts, strict=True))
        weights = np.array([[count[g] for g in label.groups]], dtype=float)
        areas.append(auroc(label, weights)[0])
    assert (low, high) == pytest.approx(np.quantile(areas, [0.025, 0.975]))
    assert low < auroc(label)[0] < high


def test_one_group_of_positives_has_no_interval():
    groups = np.array(["a", "a", "b", "c"])
    label = Label("x", np.array([1, 1, 0, 0]) == 1, np.array([0.9, 0.2, 0.3, 0.1]), groups)
    assert np.isnan(auroc_interval(label)).all()


# ------------------------------------------------------------------------------- tables


def several() -> pd.DataFrame:
    """Return predictions of several labels: one whole, one with missing labels, two without a
    curve, and an image that was explained twice."""
    rows = pd.DataFrame(
        {
            "image": list("abcdef"),
            "group": list("uvwxyz"),
            "predicted": "edema",
            "label_edema": [1.0, 0, 1, 0, 1, 0],
            "label_mass": [1.0, 0, NAN, 0, NAN, 1],
            "label_hernia": [0.0, 0, 0, NAN, 0, 0],
            "label_fluid": NAN,
            "p_edema": [0.9, 0.3, 0.8, 0.6, 0.45, 0.1],
            "p_mass": [0.7, 0.1, 0.0, 0.8, 1.0, 0.9],
            "p_hernia": [0.1] * 6,
            "p_fluid": [0.1] * 6,
        }
    )
    return pd.concat([rows, rows.iloc[:1]]).reset_index(drop=True)


@pytest.fixture
def rows() -> pd.DataFrame:
    return thresholds.table(several(), "test", resamples=50).set_index("label")


def test_missing_labels_take_no_part(rows):
    assert rows["n"].to_dict() == {"edema": 6, "mass": 4, "hernia": 5, "fluid": 0}
    # mass on a, b, d, f: positives 0.7 and 0.9, negatives 0.1 and 0.8
    assert rows.loc["mass", "auroc"] == 0.75
    # edema: 0.45 is right at Youden's threshold, wrong at 0.5
    assert rows.loc["edema", "auroc"] == pytest.approx(8 / 9)
    assert rows.loc["edema", "threshold"] == 0.8
    told = ["accuracy_at_youden", "f1_at_youden", "accuracy_at_0.5", "f1_at_0.5"]
    assert rows.loc["edema", told].tolist() == pytest.approx([5 / 6, 4 / 5, 4 / 6, 4 / 6])


def test_a_label_with_one_class_is_named_and_never_averaged(rows):
    assert rows["reason"].dropna().to_dict() == {
        "hernia": "all 5 known labels are negative",
        "fluid": "no image has a known label",
    }
    assert rows.loc[["hernia", "fluid"], ["auroc", "threshold", "f1_at_0.5"]].isna().all(axis=None)
    assert thresholds.mean_auroc(rows) == (pytest.approx((8 / 9 + 0.75) / 2), 2)
    text = thresholds.markdown(rows.reset_index(), "toy")
    assert "over the 2 of 4 labels that have one" in text
    assert "`hernia` has none and is averaged nowhere: all 5 known labels are negative" in text
    assert "Youden's threshold is chosen on split test itself" in text


def test_another_labels_values_do_not_matter(rows):
    other = several().assign(label_mass=0.0, p_mass=0.5)
    again = thresholds.table(other, "test", resamples=50).set_index("label")
    pd.testing.assert_series_equal(again.loc["edema"], rows.loc["edema"])


def test_of_two_classes_the_second_is_the_positive_one():
    table = pd.DataFrame({"image": list("abc"), "group": None, "label": ["no", "yes", "yes"]})
    table = table.assign(p_no=[0.6, 0.2, 0.7], p_yes=[0.4, 0.8, 0.3])
    (label,) = labels_of(table)
    assert label.name == "yes"
    assert label.truth.tolist() == [False, True, True]
    assert label.scores.tolist() == [0.4, 0.8, 0.3]
    assert label.groups.tolist() == ["a", "b", "c"]


def test_of_more_classes_each_is_held_against_the_rest():
    table = pd.DataFrame({"image": list("abc"), "group": "g", "label": ["x", "y", "z"]})
    table = table.assign(p_x=[0.6, 0.2, 0.7], p_y=[0.1, 0.8, 0.1], p_z=[0.3, 0.0, 0.2])
    labels = labels_of(table)
    assert [label.name for label in labels] == ["x", "y", "z"]
    assert labels[2].truth.tolist() == [False, False, True]


def test_regression_leaves_values_in_between_out_of_the_curve_but_not_of_the_error():
    table = pd.DataFrame({"image": list("abcde"), "group": list("abcde")})
    table = table.assign(label_edema=[1, 0, 0.5, NAN, 0.5], p_edema=[1.2, -0.1, 0.9, 0.3, 0.5])
    row = thresholds.table(table, "valid", regression=True, resamples=20).iloc[0]
    assert (row["n"], row["positives"], row["n_values"]) == (2, 1, 4)
    assert (row["auroc"], row["threshold"]) == (1.0, 1.2)
    assert row["mae"] == pytest.approx((0.2 + 0.1 + 0.4 + 0.0) / 4)
    assert row["rmse"] == pytest.approx(math.sqrt((0.04 + 0.01 + 0.16) / 4))
    # ranks 4, 1, 2.5, 2.5 against 4, 1, 3, 2: the covariance 4.5 over sqrt(4.5 * 5)
    assert row["spearman"] == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert row["threshold_split"] == "valid"


def test_values_that_are_not_finite_are_said():
    table = several().assign(p_edema=NAN)
    row = thresholds.table(table, "test", resamples=20).iloc[0]
    assert row["reason"] == "the model gives values that are not finite"
    assert math.isnan(row["auroc"])


def test_a_run_gets_both_files(tmp_path):
    (tmp_path / "manifest.json").write_text(
        json.dumps({"dataset": {"name": "toy_synthetic"}, "model": {"head": "multilabel"}})
    )
    score = {"dataset": "toy_synthetic", "split": "test", "model": "net", "image": "a"}
    score |= {"target": "x", "explainer": "e", "metric": "m", "protocol": "m[]", "value": 1.0}
    pd.DataFrame([score]).to_parquet(tmp_path / "scores.parquet")
    run = FinishedRun(tmp_path)
    assert thresholds.make(run) is None
    several().to_parquet(tmp_path / "predictions.parquet")
    run = FinishedRun(tmp_path)
    rows = thresholds.make(run, resamples=20)
    pd.testing.assert_frame_equal(run.csv("thresholds.csv"), rows, check_dtype=False)
    assert "toy_synthetic (generated), model net, split test" in (tmp_path / "roc.md").read_text()


def test_each_training_seed_has_rows_of_its_own(tmp_path):
    """Two models' outputs for one image are never pooled."""
    one = several()
    other = one.assign(p_edema=1 - one["p_edema"])
    seeds = [one.assign(training_seed=9), other.assign(training_seed=2)]
    rows = thresholds.table(pd.concat(seeds, ignore_index=True), "test", resamples=50)
    assert rows["training_seed"].tolist() == [9] * 4 + [2] * 4
    for seed, alone in ((9, one), (2, other)):
        wanted = thresholds.table(alone, "test", resamples=50)
        assert wanted["training_seed"].isna().all()
        found = rows[rows["training_seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            found.drop(columns="training_seed"), wanted.drop(columns="training_seed")
        )
    text = thresholds.markdown(rows, "toy")
    assert "| training seed | label |" in text
    assert "| 2 | `edema` | 6 | 3 | 0.111" in text
    assert "training seed 9: mean AUROC 0.819 over the 2 of 4 labels that have one" in text
    assert text.count("`hernia` has none and is averaged nowhere") == 1
    assert "training seed" not in thresholds.markdown(rows.head(4), "toy")
