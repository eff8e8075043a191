"""Agreement of rankings against a literal Kendall's tau-b, and which pairs are compared."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from robust_scores import means, part_of, rows_of

from xaibench.leaderboards.agreement import agreement, tau
from xaibench.leaderboards.scales import normalised

WORTH = {"random": 0.1, "lime": 0.2, "cam": 0.3, "grad_cam": 0.4, "square": 0.5}


def literal_tau_b(x, y):
    """(concordant - discordant) / sqrt of the pairs not tied in x times those not tied in y."""
    agree = untied_x = untied_y = 0
    for i, j in itertools.combinations(range(len(x)), 2):
        a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        agree += a * b
        untied_x += a != 0
        untied_y += b != 0
    return agree / math.sqrt(untied_x * untied_y)


def of(*tables: pd.DataFrame) -> pd.DataFrame:
    part = part_of(*tables)
    return agreement(part, normalised(part))


def only(table: pd.DataFrame, kind: str) -> pd.Series:
    (at,) = table.index[table["kind"] == kind]
    return table.loc[at]


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_its_literal_twin_with_ties(seed):
    x, y = np.random.default_rng(seed).integers(0, 5, (2, 9)).astype(float)
    assert tau(pd.Series(x), pd.Series(y))["tau"] == pytest.approx(literal_tau_b(x, y))


def test_the_same_order_is_one_and_the_reverse_minus_one():
    values = pd.Series([0.1, 0.5, 0.3, 0.9])
    assert tau(values, values**3)["tau"] == pytest.approx(1)
    assert tau(values, -values)["tau"] == pytest.approx(-1)


def test_what_has_no_tau_says_why():
    x = pd.Series([1.0, 2.0, np.nan, 4.0], list("abcd"))
    y = pd.Series([1.0, np.nan, 3.0, 4.0], list("abcd"))
    told = tau(x, y)
    assert np.isnan(told["tau"])
    assert told["n"] == 2
    assert told["reason"] == "too few explainers to compare rankings (2; 3 are needed)"
    told = tau(pd.Series([1.0, 1, 1]), pd.Series([1.0, 2, 3]))
    assert np.isnan(told["tau"])
    assert told["reason"] == "every explainer ties with every other"


def test_directions_are_turned_and_controls_left_out():
    lower = {name: 1 - value for name, value in WORTH.items()} | {"random": 0.0}
    table = of(
        rows_of("deletion", means(**lower), higher=False), rows_of("insertion", means(**WORTH))
    )
    told = only(table, "metrics")
    assert (told["a"], told["b"], told["n"]) == ("deletion", "insertion", 4)
    assert told["tau"] == pytest.approx(1)
    turned = of(rows_of("one", means(**lower)), rows_of("two", means(**WORTH)))
    assert only(turned, "metrics")["tau"] == pytest.approx(-1)


def test_one_metric_under_two_fills_and_two_orders():
    ids = {
        "deletion": "deletion[fill=black,score=prob]",
        "deletion_blur": "deletion[fill=blur(11,5),score=prob]",
        "deletion_lerf": "deletion[fill=black,order=lerf,score=prob]",
        "both": "deletion[fill=blur(11,5),order=lerf,score=prob]",
        "insertion": "insertion[fill=black,score=prob]",
    }
    tables = [rows_of(name, means(**WORTH), protocol=text) for name, text in ids.items()]
    table = of(*tables)
    told = table[table["kind"].isin(["metrics", "fills", "orders"])]
    kinds = {(row["a"], row["b"]): row["kind"] for _, row in told.iterrows()}
    assert len(kinds) == 10
    assert kinds["deletion", "deletion_blur"] == kinds["deletion_lerf", "both"] == "fills"
    assert kinds["deletion", "deletion_lerf"] == kinds["deletion_blur", "both"] == "orders"
    assert list(kinds.values()).count("metrics") == 6
    assert set(told.loc[told["kind"] != "metrics", "metric"]) == {"deletion"}


def test_what_ranks_nobody_is_not_compared():
    likeness = {"higher": False, "protocol": "label_randomisation@ssim[]"}
    table = of(
        rows_of("deletion", means(**WORTH)),
        rows_of("border_mass", means(**WORTH), higher=None),
        rows_of("twin@ssim", means(**WORTH), **likeness),
        rows_of("twin@ssim_control", means(**WORTH), higher=None),
    )
    assert set(table["kind"]) == {"scales", "images"}
    assert set(table["metric"]) == {"deletion"}


def test_seeds_are_compared_by_pairs():
    first, reverse = means(**WORTH), means(**{name: -value for name, value in WORTH.items()})
    seeds = enumerate([first, first, reverse])
    table = of(*(rows_of("deletion", values, training_seed=seed) for seed, values in seeds))
    told = table[table["kind"] == "seeds"]
    pairs = list(zip(told["a"], told["b"], strict=True))
    names = [f"training seed {seed}" for seed in range(3)]
    assert pairs == list(itertools.combinations(names, 2))
    assert list(told["tau"]) == pytest.approx([1, -1, -1])
    assert set(told["metric"]) == {"deletion"}


def test_scales_turn_a_ranking_where_images_weigh_otherwise():
    # lime is better on the image with a high score, cam on the one with a low score.
    values = {
        "random": [0.5, 0.5], "lime": [0.9, 0.1], "cam": [0.3, 0.3], "grad_cam": [0.0, 0.0],
    }  # fmt: skip
    table = of(rows_of("deletion", values, p=[1.0, 0.1], groups=2))
    told = table[table["kind"] == "scales"].set_index(["a", "b"])
    assert told.loc[("raw", "over_random"), "tau"] == pytest.approx(1)
    assert told.loc[("raw", "over_p"), "tau"] == pytest.approx(1 / 3)


def test_a_scale_that_is_missing_says_why():
    table = of(rows_of("deletion", means(**WORTH | {"random": 0.0})))
    told = table[table["kind"] == "scales"].set_index(["a", "b"])["reason"]
    assert told["raw", "over_p"] == "no over_p: the rows do not say p_target"
    random = "no over_random: random scores 0 or less on 12 of 12 rows: no ratio"
    assert told["raw", "over_random"] == told["over_p", "over_random"] == random


def test_images_have_alpha_in_place_of_tau():
    told = only(of(rows_of("deletion", means(**WORTH))), "images")
    assert told["alpha"] == pytest.approx(1)
    assert np.isnan(told["tau"])
    assert (told["metric"], told["n"], told["images"]) == ("deletion", 4, 12)


def test_two_explainers_have_no_ranking():
    few = {name: WORTH[name] for name in ("random", "lime", "cam")}
    table = of(rows_of("deletion", means(**few)), rows_of("insertion", means(**few)))
    assert table[["tau", "alpha"]].isna().all(axis=None)
    ranked = table[table["kind"].isin(["metrics", "images"])]
    assert set(ranked["reason"]) == {"too few explainers to compare rankings (2; 3 are needed)"}
