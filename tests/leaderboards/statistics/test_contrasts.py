"""Comparisons of pairs and of likenesses against loops over images, and one family over all."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.contrasts import contrasts
from xaibench.leaderboards.statistics.matrix import Matrix
from xaibench.leaderboards.statistics.sign_flips import max_t

OPTIONS = {"flips": 300, "seed": 0, "confidence": 0.95}
MEANS = {"random": 0.5, "cam": 0.3, "lime": 0.32}


def scores(groups=9, size=2, metrics=("deletion", "insertion"), seeds=(0,), noise=0.05):
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "dataset": "toy", "split": "test", "model": "net",
            "image": f"i{i}", "group": f"g{i // size}", "target": "t", "training_seed": seed,
            "explainer": explainer, "control": explainer == "random", "metric": metric,
            "protocol": f"{metric}[]", "higher_is_better": metric == "insertion",
            "value": mean + rng.normal(0, noise), "status": "ok", "reason": None,
        }
        for metric in metrics
        for explainer, mean in MEANS.items()
        for seed in seeds
        for i in range(groups * size)
    )  # fmt: skip


def test_pairs_are_their_literal_twin():
    rows = scores()
    gone = (rows["explainer"] == "cam") & rows["image"].isin(["i0", "i5"])
    rows.loc[gone, "status"] = "failed"
    matrix = Matrix.of(rows)
    pairs, likeness = contrasts(matrix, **OPTIONS)
    assert likeness.empty
    columns, at = [], []
    for metric in ("deletion", "insertion"):
        own = rows[(rows["metric"] == metric) & (rows["status"] == "ok")]
        for a, b in itertools.combinations(MEANS, 2):
            one = own[own["explainer"] == a].set_index("image")
            other = own[own["explainer"] == b].set_index("image")
            gaps = (one["value"] - other["value"]).dropna()
            row = pairs.set_index(["metric", "a", "b"]).loc[(metric, a, b)]
            sign = 1 if metric == "insertion" else -1
            wins = [1.0 if sign * g > 0 else 0.5 if g == 0 else 0.0 for g in gaps]
            assert row["n"] == len(gaps) == (16 if "cam" in (a, b) else 18)
            assert row["difference"] == pytest.approx(gaps.mean())
            assert row["effect"] == pytest.approx(gaps.mean() / gaps.std())
            assert row["a_better"] == pytest.approx(np.mean(wins))
            columns.append(gaps.reindex(own["image"].unique()).to_numpy())
            at.append((metric, a, b))
    groups = [f"g{int(name[1:]) // 2}" for name in rows["image"].unique()]
    clusters = Clusters.of(np.column_stack(columns), groups)
    family = max_t(clusters, flips=300, seed=0)
    found = pairs.set_index(["metric", "a", "b"]).loc[at]
    np.testing.assert_allclose(found["p"], family.p)
    half = family.half
    np.testing.assert_allclose(found["high"] - found["difference"], half)
    np.testing.assert_allclose(found["difference"] - found["low"], half)


def test_the_better_one_is_named_in_its_metrics_direction():
    pairs, _ = contrasts(Matrix.of(scores()), **OPTIONS)
    named = pairs.set_index(["metric", "a", "b"])["better"]
    assert named[("deletion", "random", "cam")] == "cam"
    assert named[("insertion", "random", "cam")] == "random"
    assert named[("deletion", "cam", "lime")] is None


def test_more_metrics_make_a_larger_family():
    few, _ = contrasts(Matrix.of(scores(noise=0.4)), **OPTIONS)
    many, _ = contrasts(Matrix.of(scores(noise=0.4, metrics=[*"abcdef", "deletion"])), **OPTIONS)
    of = lambda pairs: pairs[(pairs["a"] == "random") & (pairs["b"] == "cam")]["p"].iloc[0]
    assert of(many) >= of(few)


def test_without_a_direction_nobody_is_better():
    rows = scores(metrics=["border_mass"]).assign(higher_is_better=None)
    pairs, _ = contrasts(Matrix.of(rows), **OPTIONS)
    assert (pairs["p"] <= 0.05).any()
    assert pairs["better"].isna().all()
    assert pairs["a_better"].isna().all()


def test_a_likeness_is_tested_against_the_middle_and_never_ranked():
    name = "label_randomisation@ssim"
    rows = scores(metrics=[name, f"{name}_control"])
    value = rows["explainer"].map({"random": 1.0, "cam": 0.1, "lime": 0.56})
    chance = rows["metric"].str.endswith("_control")
    rows["value"] = rows["value"] * 0.01 + value.where(~chance, 0.1)
    pairs, likeness = contrasts(Matrix.of(rows), **OPTIONS)
    assert pairs.empty
    assert list(likeness["metric"].unique()) == [name]
    found = likeness.set_index("explainer")
    wide = rows.pivot(index="image", columns=["metric", "explainer"], values="value")
    for explainer in MEANS:
        middle = (1 + wide[(f"{name}_control", explainer)]) / 2
        gap = (wide[(name, explainer)] - middle).mean()
        assert found.loc[explainer, "difference"] == pytest.approx(gap)
    assert found.loc["cam", "p"] <= 0.05
    assert found.loc["cam", "difference"] < 0 < found.loc["random", "difference"]


def test_images_are_crossed_with_models_not_pooled():
    """Three models that explain the same images tell as little of patients as one of them."""
    once = scores(noise=0.3)
    again = pd.concat([once.assign(training_seed=seed) for seed in range(3)])
    one, _ = contrasts(Matrix.of(once), **OPTIONS)
    three, _ = contrasts(Matrix.of(again), **OPTIONS)
    assert (three["n"] == 3 * one["n"]).all()
    for column in ("difference", "low", "high", "p"):
        np.testing.assert_allclose(three[column], one[column])


def test_a_difference_turns_where_its_sign_does():
    rows = scores(seeds=(0, 1), metrics=["deletion"], noise=0.001)
    hit = (rows["explainer"] == "lime") & (rows["training_seed"] == 1)
    rows.loc[hit, "value"] -= 0.1  # behind cam in the first model, before it in the second
    pairs, _ = contrasts(Matrix.of(rows), **OPTIONS)
    turns = pairs.set_index(["a", "b"])["turns"]
    assert turns.to_dict() == {
        ("random", "cam"): False, ("random", "lime"): False, ("cam", "lime"): True
    }  # fmt: skip


def test_too_few_groups_say_so():
    pairs, _ = contrasts(Matrix.of(scores(groups=4)), **OPTIONS)
    assert pairs[["p", "low", "high"]].isna().all(axis=None)
    assert pairs["better"].isna().all()
    assert set(pairs["reason"]) == {"too few groups to test (4; 6 are needed)"}
    assert pairs["difference"].notna().all()
