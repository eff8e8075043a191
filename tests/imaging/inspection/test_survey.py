"""Counts of labels and patients against slow, literal twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from toy_data import SIDE, ToySplit, toy

from xaibench.imaging.inspection import survey

FINDINGS = ("mass", "nodule", "hernia")
VALUES = (0.0, 0.5, 1.0, math.nan)


@pytest.fixture
def multilabel():
    rng = np.random.default_rng(0)

    def part(name, n, patients):
        labels = rng.choice(VALUES, (n, len(FINDINGS)), p=(0.4, 0.1, 0.3, 0.2)).astype(np.float32)
        return ToySplit(name, labels, [f"{name}{p}" for p in rng.integers(0, patients, n)])

    return toy("multilabel", FINDINGS, train=part("train", 60, 20), test=part("test", 17, 5))


def literal(splits, finding) -> dict:
    counts = dict.fromkeys(("images", "positives", "negatives", "uncertain", "missing"), 0)
    groups, positive_groups = set(), set()
    for split in splits:
        for at in range(len(split)):
            value = float(split.labels[at][finding])
            groups.add(split.groups[at])
            counts["images"] += 1
            if math.isnan(value):
                counts["missing"] += 1
            elif value == 1:
                counts["positives"] += 1
                positive_groups.add(split.groups[at])
            elif value == 0:
                counts["negatives"] += 1
            else:
                counts["uncertain"] += 1
    counts["groups"], counts["positive_groups"] = len(groups), len(positive_groups)
    counts["share"] = counts["positives"] / (counts["images"] - counts["missing"])
    return counts


def test_labels_are_counted_as_a_literal_twin_counts_them(multilabel):
    table = survey.label_table(multilabel).set_index(["split", "label"])
    parts = {name: [split] for name, split in multilabel.splits.items()}
    parts["all"] = list(multilabel.splits.values())
    assert list(table.index) == [(part, name) for part in parts for name in FINDINGS]
    for part, splits in parts.items():
        for at, name in enumerate(FINDINGS):
            found = table.loc[(part, name)]
            assert found[list(literal(splits, at))].to_dict() == literal(splits, at)
    sums = table[["positives", "negatives", "uncertain", "missing"]].sum(axis=1)
    assert (sums == table["images"]).all()
    assert (table["height_min"] == SIDE).all()
    assert (table["width_max"] == SIDE).all()


def test_classes_are_counted_each_against_the_rest():
    data = toy(train=ToySplit("train", [0, 1, 1, 1], ["p", "p", "q", "q"]))
    table = survey.label_table(data).query("split == 'train'").set_index("label")
    assert table["positives"].to_dict() == {"a": 1, "b": 3}
    assert table["negatives"].to_dict() == {"a": 3, "b": 1}
    assert table["positive_groups"].to_dict() == {"a": 1, "b": 2}
    assert table["share"].to_dict() == {"a": 0.25, "b": 0.75}


def test_a_label_that_nobody_knows_has_no_share():
    labels = np.full((3, 1), np.nan, np.float32)
    data = toy("multilabel", ("mass",), train=ToySplit("train", labels))
    table = survey.label_table(data)
    assert table["share"].isna().all()
    assert list(survey.readable(table)["share"]) == ["–", "–"]


def test_patients_in_two_splits_are_found():
    data = toy(
        train=ToySplit("train", [0, 1, 0], ["p", "q", "q"]),
        valid=ToySplit("valid", [0, 1], ["r", "s"]),
        test=ToySplit("test", [0, 1, 1], ["q", "r", "q"]),
    )
    found = survey.groups_in_two_splits(data)
    assert dict(zip(found["group"], found["splits"], strict=True)) == {
        "q": "train, test",
        "r": "valid, test",
    }


def test_no_patient_in_two_splits_is_an_empty_table(multilabel):
    assert survey.groups_in_two_splits(multilabel).empty


def test_the_manifest_names_ids_labels_and_patients(multilabel):
    table = survey.manifest_table(multilabel)
    train = multilabel.splits["train"]
    assert list(table.columns[:3]) == ["path", "label", "patient"]
    assert list(table["path"][:60]) == list(train.ids)
    assert list(table["patient"][:60]) == list(train.groups)
    assert list(table["split"]) == ["train"] * 60 + ["test"] * 17
    np.testing.assert_array_equal(table["hernia"][:60], train.labels[:, 2])


def test_readers_see_percent_and_one_column_a_size(multilabel):
    table = survey.label_table(multilabel).assign(height_max=SIDE + 3)
    shown = survey.readable(table)
    assert shown["height"][0] == f"{SIDE}–{SIDE + 3}"
    assert shown["width"][0] == f"{SIDE}"
    assert shown["share"][0] == f"{100 * table['share'][0]:.1f}%"


def test_notes_say_what_the_counts_do_not(multilabel):
    assert survey.notes(multilabel) == []
    (alone,) = survey.notes(toy(train=ToySplit("train", [0, 1])))
    assert "No patients are known" in alone
    facts = {"uncertain_labels": {"mass": 3, "nodule": 0}}
    data = toy("multilabel", FINDINGS, facts, train=multilabel.splits["train"])
    (uncertain,) = survey.notes(data)
    assert "before its policy: mass 3." in uncertain


def test_images_that_are_no_files_have_no_file_table(multilabel):
    assert survey.file_table(multilabel) is None
