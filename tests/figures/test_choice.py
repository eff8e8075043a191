"""Which explainers and which images the figures show."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from xaibench.figures import choice
from xaibench.figures.choice import failures, representative, thresholds, true_positives, with_truth
from xaibench.leaderboards.board import ScoredRun

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
    cut = thresholds(table, table)
    assert cut == {"yes": 0.9}
    assert true_positives(table, cut)["image"].tolist() == ["a"]


@pytest.mark.parametrize("validation", ["none", "of one class"])
def test_without_a_threshold_of_validation_images_it_is_one_half(validation):
    table = one_of_two()
    others = None if validation == "none" else table.assign(label="no")
    assert thresholds(table, others) == {"yes": 0.5}


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


def test_representative_images_cover_truth_and_prediction(predictions):
    rows = with_truth(predictions)
    assert representative(rows).index.tolist() == list(range(6))
    # pairs: 1/1, 0/0, 0/1, 1/0, 1/1, 0/0; the third of a pair waits until all have two
    many = rows.iloc[[0, 0, 0, 0, 1, 2]].reset_index(drop=True)
    assert representative(many, most=4).index.tolist() == [0, 1, 4, 5]


def test_at_most_eight_images_are_shown(predictions):
    assert len(representative(with_truth(predictions.iloc[[0] * 10]))) == 8


def test_the_truth_is_the_class_or_the_labels_that_are_there(predictions):
    assert with_truth(predictions)["truth"].tolist() == predictions["label"].tolist()
    several = predictions.drop(columns="label").assign(label_normal=0.0, label_metastasis=1.0)
    several.loc[0, "label_metastasis"] = np.nan
    several.loc[5, "label_normal"] = 1.0
    told = with_truth(several)["truth"].tolist()
    assert told == ["none", *["metastasis"] * 4, "normal, metastasis"]


@pytest.fixture
def run(finished_run) -> ScoredRun:
    about = {"dataset": {"name": "pcam_synthetic"}, "training": {}}
    (finished_run / "manifest.json").write_text(json.dumps(about))
    return ScoredRun(finished_run)


def test_what_a_run_shows(run, predictions):
    assert choice.heading(run) == "pcam_synthetic (generated), resnet18, split test"
    assert choice.scored(run) == ["random", "center_prior", "superpixel_occlusion", "grad_cam"]
    assert choice.controls_of(run) == ["random", "center_prior"]
    with h5py.File(run.folder / "maps.h5", "a") as file:
        del file["maps/center_prior"]
        for name in ("zebra", "ape"):
            file[f"maps/{name}"] = np.zeros((6, 16, 16))
    drawn = ["random", "superpixel_occlusion", "grad_cam", "ape", "zebra"]
    assert choice.drawn(run) == drawn  # those without scores last
    assert choice.shown(run)["image"].tolist() == predictions["image"].tolist()


def test_rows_of_maps_are_read_in_any_order_and_twice(run, maps, masks):
    rows = choice.explained(run).loc[[4, 0, 0, 2]]
    np.testing.assert_array_equal(
        choice.read(run, rows, "maps/random"), maps["random"][[4, 0, 0, 2]]
    )
    found = choice.masks(run, rows)
    assert list(found) == sorted(masks)
    np.testing.assert_array_equal(found["evidence"], masks["evidence"][[4, 0, 0, 2]])
    assert choice.read(run, rows.iloc[:0], "images").shape == (0, 16, 16, 3)


@pytest.mark.parametrize("gone", ["maps.h5", "predictions.parquet"])
def test_without_maps_or_predictions_no_image_is_shown(run, gone):
    (run.folder / gone).unlink()
    assert choice.explained(run) is None
    assert choice.shown(run) is None
    assert bool(choice.drawn(run)) == (gone != "maps.h5")
