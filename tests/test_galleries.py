"""Which images the galleries show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xaibench.galleries import failures, thresholds, true_positives

NAN = float("nan")


def several() -> pd.DataFrame:
    """Return items of two findings; of each image the one that is asked about."""
    return pd.DataFrame(
        {
            "image": list("abcdefg"),
            "group": list("abcdefg"),
            "target": ["mass", "edema", "mass", "mass", "edema", "mass", "edema"],
            "p_target": [0.9, 0.7, 0.4, 0.6, 0.2, 0.8, 0.3],
            "label_edema": [0, 1, 0, 0, 1, 0, NAN],
            "label_mass": [1, 0, 1, 0, 0, 1, 0],
            "predicted": "mass",
        },
        index=[7, 8, 9, 10, 11, 12, 13],
    )


def one_of_two() -> pd.DataFrame:
    p = np.array([0.9, 0.3, 0.8, 0.1])
    table = pd.DataFrame({"image": list("abcd"), "group": list("abcd"), "p_no": 1 - p, "p_yes": p})
    table["label"] = ["yes", "yes", "no", "no"]
    table["predicted"] = ["yes", "no", "yes", "no"]
    table["target"] = table["predicted"]
    return table.assign(p_target=table[["p_no", "p_yes"]].max(axis=1))


def test_true_positives_are_there_and_reach_the_threshold():
    rows = true_positives(several(), {"edema": 0.2, "mass": 0.5})
    assert rows["target"].tolist() == ["edema", "edema", "mass", "mass"]
    assert rows["image"].tolist() == ["b", "e", "a", "f"]
    assert rows.index.tolist() == [1, 4, 0, 5]  # places, whatever the index was
    assert rows["threshold"].tolist() == [0.2, 0.2, 0.5, 0.5]


def test_so_many_of_each_finding():
    rows = true_positives(several(), {"edema": 0.2, "mass": 0.5}, most=1)
    assert rows["image"].tolist() == ["b", "a"]


def test_a_finding_without_a_threshold_has_none():
    assert true_positives(several(), {"edema": 0.2})["target"].tolist() == ["edema", "edema"]


def test_of_two_classes_the_second_is_the_finding():
    table = one_of_two()
    cut = thresholds(table)
    assert cut == {"yes": 0.9}
    assert true_positives(table, cut)["image"].tolist() == ["a"]


def test_failures_come_worst_first():
    # b: p(yes) is 0.3, so 0.7 is missing; c: p(no) is 0.2, so 0.8 is missing
    rows = failures(one_of_two())
    assert rows["image"].tolist() == ["c", "b"]
    assert rows["error"].tolist() == pytest.approx([0.8, 0.7])
    assert rows.index.tolist() == [2, 1]


def test_of_several_labels_the_explained_one_fails():
    rows = failures(several())
    assert rows["image"].tolist() == ["e", "c", "d"]  # 0.8, then 0.6 twice, by name; g is unknown
    assert rows["error"].tolist() == pytest.approx([0.8, 0.6, 0.6])


def test_nothing_wrong_no_failures():
    assert failures(one_of_two().iloc[[0, 3]]).empty
    assert failures(several().iloc[[0]]).empty
