"""AUROC, its interval and Youden's threshold against literal twins and closed forms."""

from __future__ import annotations

import json
import math
from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from xaibench.leaderboards import thresholds
from xaibench.leaderboards.roc import (
    Label,
    auroc,
    auroc_interval,
    curve,
    labels_of,
    operating_point,
    youden,
)
from xaibench.store.finished import FinishedRun

NAN = math.nan


def drawn(seed: int, n: int = 40, levels: int = 12) -> Label:
    """Return a label with many tied scores."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    truth[:2] = (True, False)
    scores = np.round((rng.random(n) + 0.3 * truth) * levels) / levels
    return Label("edema", truth, scores, np.array([f"g{i // 3}" for i in range(n)]))


def twin_auroc(truth, scores) -> float:
    """Count pairs, one by one."""
    won = pairs = 0.0
    for i, positive in enumerate(truth):
        for j, other in enumerate(truth):
            if positive and not other:
                pairs += 1
                won += (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
    return won / pairs


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
    assert auroc(label) == pytest.approx(twin_auroc(label.truth, label.scores))


@pytest.mark.parametrize("seed", range(20))
def test_youden_equals_the_literal_twin(seed):
    label = drawn(seed)
    point = youden(label)
    expected = twin_youden(label.truth.tolist(), label.scores.tolist())
    assert (point.value, point.sensitivity, point.specificity) == pytest.approx(expected)


def test_closed_forms():
    truth, groups = np.array([True, True, False, False]), np.array(list("abcd"))
    perfect = Label("x", truth, np.array([0.9, 0.7, 0.4, 0.1]), groups)
    assert auroc(perfect) == 1.0
    assert youden(perfect).value == 0.7
    turned = Label("x", truth, -perfect.scores, groups)
    assert auroc(turned) == 0.0
    assert youden(turned).value == -0.9  # J is 0 at best: everything is called positive
    same = Label("x", truth, np.full(4, 0.5), groups)
    assert auroc(same) == 0.5
    false, true, _ = curve(perfect)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_of_equal_thresholds_the_highest_is_taken():
    # J = 1/2 at 0.9 (sensitivity 1/2, specificity 1) and at 0.5 (1, 1/2)
    label = Label("x", np.array([1, 0, 1, 0]) == 1, np.array([0.9, 0.7, 0.5, 0.1]), np.arange(4))
    point = youden(label)
    assert (point.value, point.sensitivity, point.specificity) == (0.9, 0.5, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_threshold_chosen_elsewhere_is_worth_what_is_counted(seed):
    label = drawn(seed)
    for threshold in (-1.0, 0.4, 0.51, 2.0):
        hits = spared = 0
        for truth, score in zip(label.truth, label.scores, strict=True):
            hits += bool(truth) and score >= threshold
            spared += not truth and score < threshold
        point = operating_point(label, threshold)
        assert point.value == threshold
        assert point.sensitivity == pytest.approx(hits / label.truth.sum())
        assert point.specificity == pytest.approx(spared / (~label.truth).sum())
    best = youden(label)
    again = operating_point(label, best.value)
    assert astuple(again) == pytest.approx(astuple(best), rel=1e-15)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_obuchowskis_written_out(seed):
    label = drawn(seed, n=60)
    area = auroc(label)
    pairs = lambda a, b: 1.0 if a > b else 0.5 if a == b else 0.0
    positive = [
        (g, s) for g, s, t in zip(label.groups, label.scores, label.truth, strict=True) if t
    ]
    negative = [
        (g, s) for g, s, t in zip(label.groups, label.scores, label.truth, strict=True) if not t
    ]
    m, n = len(positive), len(negative)
    above, below = {}, {}
    for group, score in positive:
        placed = sum(pairs(score, other) for _, other in negative) / n
        above[group] = above.get(group, 0.0) + (placed - area) / m
    for group, score in negative:
        placed = sum(pairs(other, score) for _, other in positive) / m
        below[group] = below.get(group, 0.0) + (placed - area) / n
    own = [
        len(part) / (len(part) - 1) * sum(v**2 for v in part.values()) for part in (above, below)
    ]
    groups = set(above) | set(below)
    both = sum(above.get(g, 0.0) * below.get(g, 0.0) for g in groups)
    variance = sum(own) + 2 * len(groups) / (len(groups) - 1) * both
    df = variance**2 / (own[0] ** 2 / (len(above) - 1) + own[1] ** 2 / (len(below) - 1))
    df = max(df, min(len(above), len(below)) - 1)
    half = stats.t.ppf(0.975, df) * math.sqrt(variance) / (area * (1 - area))
    centre = math.log(area / (1 - area))
    ends = [1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1)]
    assert auroc_interval(label) == pytest.approx(ends)
    assert ends[0] < area < ends[1]


def test_images_of_their_own_have_delongs_variance():
    """With a group for each image the sums are those of DeLong, DeLong and Clarke-Pearson 1988."""
    label = replace(drawn(5, n=50), groups=np.arange(50))
    truth, scores = label.truth, label.scores
    wins = (scores[truth][:, None] > scores[~truth]) + 0.5 * (
        scores[truth][:, None] == scores[~truth]
    )
    variance = wins.mean(1).var(ddof=1) / truth.sum() + wins.mean(0).var(ddof=1) / (~truth).sum()
    area, (low, high) = auroc(label), auroc_interval(label)
    width = (math.log(high / (1 - high)) - math.log(low / (1 - low))) / 2
    assert width == pytest.approx(
        stats.t.ppf(0.975, _df(wins, variance)) * math.sqrt(variance) / (area * (1 - area))
    )


def _df(wins, variance):
    m, n = wins.shape
    own = wins.mean(1).var(ddof=1) / m, wins.mean(0).var(ddof=1) / n
    return variance**2 / (own[0] ** 2 / (m - 1) + own[1] ** 2 / (n - 1))


def test_a_perfect_curve_is_not_certain():
    truth = np.repeat([True, False], 8)
    label = Label("x", truth, truth.astype(float), np.repeat(np.arange(8), 2))
    told = stats.binomtest(4, 4).proportion_ci(method="exact")
    assert auroc_interval(label) == pytest.approx((told.low, 1.0))


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


def validation() -> pd.DataFrame:
    """Return predictions of other images: edema's best threshold is 0.6, hernia has one, too."""
    table = several().drop_duplicates("image")
    table = table.assign(image=[f"v{i}" for i in table["image"]])
    table["p_edema"] = [0.9, 0.5, 0.7, 0.2, 0.6, 0.1]
    return table.assign(label_mass=0.0, label_hernia=[1.0, 0, 0, 0, 0, 0])


@pytest.fixture
def rows() -> pd.DataFrame:
    return thresholds.table(several(), "test", validation()).set_index("label")


def test_missing_labels_take_no_part(rows):
    assert rows["n"].to_dict() == {"edema": 6, "mass": 4, "hernia": 5, "fluid": 0}
    # mass on a, b, d, f: positives 0.7 and 0.9, negatives 0.1 and 0.8
    assert rows.loc["mass", "auroc"] == 0.75
    assert rows.loc["edema", "auroc"] == pytest.approx(8 / 9)


def test_the_threshold_is_chosen_on_validation_images_and_judged_on_the_explained(rows):
    # 0.8 would be best on the explained images themselves.
    assert rows.loc["edema", ["threshold", "threshold_split"]].tolist() == [0.6, "valid"]
    # edema at 0.6: 0.9 and 0.8 are found, 0.45 is missed; 0.6 is a false alarm, 0.3 and 0.1 not
    told = ["sensitivity", "specificity", "accuracy_at_youden", "f1_at_youden"]
    assert rows.loc["edema", told].tolist() == pytest.approx([2 / 3, 2 / 3, 4 / 6, 4 / 6])
    other = several().assign(p_edema=[0.9, 0.3, 0.8, 0.65, 0.45, 0.1, 0.9])
    again = thresholds.table(other, "test", validation()).set_index("label")
    assert again.loc["edema", "threshold"] == 0.6
    text = thresholds.markdown(rows.reset_index(), "toy")
    assert "Youden's threshold is chosen on split valid" in text


def test_a_label_that_validation_images_lack_has_no_threshold(rows):
    named = ["threshold", "threshold_split", "sensitivity", "specificity"]
    named += ["accuracy_at_youden", "f1_at_youden"]
    assert rows.loc["mass", named].isna().all()
    assert rows.loc["mass", ["auroc", "accuracy_at_0.5"]].notna().all()
    reason = "on split valid, all 6 known labels are negative"
    assert rows.loc["mass", "threshold_reason"] == reason
    text = thresholds.markdown(rows.reset_index(), "toy")
    assert f"- no threshold for `mass`: {reason}" in text


def test_a_label_that_explained_images_lack_keeps_its_threshold_and_is_worth_nothing(rows):
    assert rows.loc["hernia", "threshold"] == 0.1
    assert rows.loc["hernia", ["auroc", "sensitivity", "f1_at_youden"]].isna().all()


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ("test", "the run has no predictions of a split 'valid'"),
        ("valid", "split valid is the explained one, and what it chose would be too good"),
    ],
)
def test_without_validation_images_there_is_no_threshold(split, reason):
    rows = thresholds.table(several(), split)
    assert rows[["threshold", "threshold_split", "sensitivity"]].isna().all(axis=None)
    assert rows["threshold_reason"].str.startswith(reason).all()
    assert rows.loc[0, "auroc"] == pytest.approx(8 / 9)
    told = thresholds.notes(rows)
    assert [line for line in told if line.startswith("Youden")] == []
    (why,) = [line for line in told if line.startswith("no threshold")]
    assert why.startswith(f"no threshold for `edema`, `mass`, `hernia`, `fluid`: {reason}")


def test_a_label_with_one_class_is_named_and_never_averaged(rows):
    assert rows["reason"].dropna().to_dict() == {
        "hernia": "all 5 known labels are negative",
        "fluid": "no image has a known label",
    }
    assert (
        rows.loc[["hernia", "fluid"], ["auroc", "sensitivity", "f1_at_0.5"]].isna().all(axis=None)
    )
    assert thresholds.mean_auroc(rows) == (pytest.approx((8 / 9 + 0.75) / 2), 2)
    text = thresholds.markdown(rows.reset_index(), "toy")
    assert "over the 2 of 4 labels that have one" in text
    assert "`hernia` has none and is averaged nowhere: all 5 known labels are negative" in text


def test_another_labels_values_do_not_matter(rows):
    other = several().assign(label_mass=0.0, p_mass=0.5)
    again = thresholds.table(other, "test", validation()).set_index("label")
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
    valid = table.assign(p_edema=[1.1, 0.2, 0.9, 0.3, 0.5])
    row = thresholds.table(table, "test", valid, regression=True).iloc[0]
    assert (row["n"], row["positives"], row["n_values"]) == (2, 1, 4)
    assert (row["auroc"], row["threshold"]) == (1.0, 1.1)
    assert row["mae"] == pytest.approx((0.2 + 0.1 + 0.4 + 0.0) / 4)
    assert row["rmse"] == pytest.approx(math.sqrt((0.04 + 0.01 + 0.16) / 4))
    # ranks 4, 1, 2.5, 2.5 against 4, 1, 3, 2: the covariance 4.5 over sqrt(4.5 * 5)
    assert row["spearman"] == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_values_that_are_not_finite_are_said():
    table = several().assign(p_edema=NAN)
    row = thresholds.table(table, "test").iloc[0]
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
    validation().to_parquet(tmp_path / "validation_predictions.parquet")
    run = FinishedRun(tmp_path)
    rows = thresholds.make(run)
    pd.testing.assert_frame_equal(run.csv("thresholds.csv"), rows, check_dtype=False)
    assert rows["threshold"].tolist() == pytest.approx([0.6, NAN, 0.1, NAN], nan_ok=True)
    assert "toy_synthetic (generated), model net, split test" in (tmp_path / "roc.md").read_text()


def test_each_training_seed_has_rows_of_its_own(tmp_path):
    """Two models' outputs for one image are never pooled."""
    one = several()
    other = one.assign(p_edema=1 - one["p_edema"])
    seeds = [one.assign(training_seed=9), other.assign(training_seed=2)]
    rows = thresholds.table(pd.concat(seeds, ignore_index=True), "test")
    assert rows["training_seed"].tolist() == [9] * 4 + [2] * 4
    for seed, alone in ((9, one), (2, other)):
        wanted = thresholds.table(alone, "test")
        assert wanted["training_seed"].isna().all()
        found = rows[rows["training_seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            found.drop(columns="training_seed"), wanted.drop(columns="training_seed")
        )
    images = validation()
    valid = [images.assign(training_seed=9), images.assign(training_seed=2, p_edema=0.25)]
    chosen = thresholds.table(pd.concat(seeds), "test", pd.concat(valid))
    assert chosen.groupby("training_seed", sort=False)["threshold"].first().tolist() == [0.6, 0.25]
    text = thresholds.markdown(rows, "toy")
    assert "| training seed | label |" in text
    assert "| 2 | `edema` | 6 | 6 | 3 | 0.111" in text
    assert "training seed 9: mean AUROC 0.819 over the 2 of 4 labels that have one" in text
    assert text.count("`hernia` has none and is averaged nowhere") == 1
    assert "training seed" not in thresholds.markdown(rows.head(4), "toy")


def test_notes_of_an_older_file_tell_where_its_threshold_was_chosen():
    rows = thresholds.table(several(), "test", validation())
    older = rows.drop(columns=["threshold_reason", "n_groups", "training_seed"])
    older = older.assign(threshold_split="test")
    assert any("chosen on split test" in note for note in thresholds.notes(older))


@pytest.mark.parametrize("levels", [2, 12, 10_000])
def test_curve_and_area_are_scikit_learns(levels):
    label = drawn(5, n=300, levels=levels)
    for own, theirs in zip(
        curve(label), roc_curve(label.truth, label.scores, drop_intermediate=False), strict=True
    ):
        assert np.array_equal(own, theirs)
    assert auroc(label) == pytest.approx(roc_auc_score(label.truth, label.scores), rel=1e-14)
