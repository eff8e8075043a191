"""Means per unmasked score and per random's value, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from robust_scores import part_of, rows_of

from xaibench.leaderboards.scales import normalised

P = [0.5, 0.9, 0.7, 0.6]
VALUES = {
    "random": [0.2, 0.1, 0.4, 0.3],
    "lime": [0.3, 0.2, 0.1, np.nan],
    "grad_cam": [0.4, 0.4, 0.2, 0.1],
}


def row(table: pd.DataFrame, explainer: str, metric: str = "deletion") -> pd.Series:
    return table.set_index(["explainer", "metric"]).loc[(explainer, metric)]


def test_it_is_its_literal_twin():
    table = normalised(part_of(rows_of("deletion", VALUES, p=P)))
    for name, values in VALUES.items():
        told = row(table, name)
        known = [i for i, v in enumerate(values) if np.isfinite(v)]
        assert told["raw"] == pytest.approx(np.mean([values[i] for i in known]))
        assert told["over_p"] == pytest.approx(np.mean([values[i] / P[i] for i in known]))
        by_random = [values[i] / VALUES["random"][i] for i in known]
        assert told["over_random"] == pytest.approx(np.mean(by_random))
        assert {told["n_raw"], told["n_over_p"], told["n_over_random"]} == {len(known)}
    weights = [1 / value for value in VALUES["random"]]
    kish = sum(weights) ** 2 / sum(w**2 for w in weights)
    assert list(table["n_effective"]) == pytest.approx([kish] * 3)
    assert row(table, "random")["over_random"] == 1
    assert table["reason_over_p"].isna().all()
    assert table["reason_over_random"].isna().all()


def test_rows_without_a_positive_score_are_left_out_and_said():
    part = part_of(rows_of("deletion", VALUES, p=[0.5, 0.0, -0.1, np.nan]))
    told = row(normalised(part), "grad_cam")
    assert told["over_p"] == pytest.approx(0.4 / 0.5)
    assert (told["n_raw"], told["n_over_p"]) == (4, 1)
    assert told["reason_over_p"] == "3 of 4 rows left out: p_target is 0 or less, or missing"


@pytest.mark.parametrize(
    ("protocol", "p", "why"),
    [
        ("deletion[score=logit]", P, "its protocol does not say score=prob"),
        ("iou_top@x[top=mask_area]", P, "its protocol does not say score=prob"),
        ("deletion[score=prob]", None, "the rows do not say p_target"),
    ],
)
def test_what_is_no_probability_is_not_divided_by_one(protocol, p, why):
    told = row(normalised(part_of(rows_of("deletion", VALUES, protocol=protocol, p=p))), "lime")
    assert np.isnan(told["over_p"])
    assert (told["n_over_p"], told["reason_over_p"]) == (0, why)


def test_no_ratio_where_random_reaches_none():
    values = VALUES | {"random": [0.2, 0.0, -0.1, 0.1]}
    told = row(normalised(part_of(rows_of("deletion", values, p=P))), "lime")
    assert np.isnan(told["over_random"])
    assert np.isnan(told["n_effective"])
    assert told["n_over_random"] == 0
    assert told["reason_over_random"] == "random scores 0 or less on 2 of 4 rows: no ratio"


def test_no_ratio_where_a_few_images_decide():
    near = [0.5] * 9 + [0.001]
    values = {"random": near, "lime": [0.5] * 10}
    told = row(normalised(part_of(rows_of("deletion", values))), "lime")
    assert np.isnan(told["over_random"])
    assert told["n_effective"] == pytest.approx((9 * 2 + 1000) ** 2 / (9 * 4 + 1e6))
    why = "random scores near 0 on a few rows, and they alone decide (1.0 of 10 by Kish's number)"
    assert told["reason_over_random"] == why


def test_all_images_decide_where_random_is_the_same():
    values = {"random": [0.25] * 10, "lime": [0.5] * 10}
    told = row(normalised(part_of(rows_of("deletion", values))), "lime")
    assert (told["over_random"], told["n_effective"]) == (2, 10)


def test_no_ratio_without_random():
    values = {name: v for name, v in VALUES.items() if name != "random"}
    told = row(normalised(part_of(rows_of("deletion", values, p=P))), "lime")
    assert told["reason_over_random"] == "without random"
    lost = VALUES | {"random": [np.nan] * 4}
    told = row(normalised(part_of(rows_of("deletion", lost, p=P))), "lime")
    assert told["reason_over_random"] == "random has no value"


def test_each_trained_model_has_its_own_score_and_random():
    first = rows_of("deletion", VALUES, p=P, training_seed=0)
    second = rows_of("deletion", VALUES, p=[0.1] * 4, training_seed=1)
    doubled = second["explainer"] == "random"
    second.loc[doubled, "value"] *= 2
    told = row(normalised(part_of(first, second)), "grad_cam")
    values = VALUES["grad_cam"]
    over_p = [v / p for v, p in zip(values, P, strict=True)] + [v / 0.1 for v in values]
    assert told["over_p"] == pytest.approx(np.mean(over_p))
    ratios = [v / r for v, r in zip(values, VALUES["random"], strict=True)]
    assert told["over_random"] == pytest.approx(np.mean([*ratios, *(r / 2 for r in ratios)]))
    assert told["n_raw"] == 8
