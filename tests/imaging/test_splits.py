"""A fraction keeps the share of each label, and a split keeps patients whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xaibench.errors import UserError
from xaibench.imaging.splits import (
    SPLITS,
    check_no_overlap,
    patient_split,
    read_manifests,
    stratified_fraction,
    write_manifests,
)

LABELS = np.repeat([0, 1, 2], [600, 300, 100])


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_each_label_keeps_its_share(fraction):
    kept = stratified_fraction(LABELS, fraction, seed=0)
    assert np.bincount(LABELS[kept]) == pytest.approx(fraction * np.array([600, 300, 100]), abs=1)


def test_indices_rise_and_none_stands_twice():
    kept = stratified_fraction(np.random.default_rng(0).permutation(LABELS), 0.3, seed=0)
    assert (np.diff(kept) > 0).all()
    assert len(kept) == 300


def test_the_draw_follows_the_seed():
    one, again, other = (stratified_fraction(LABELS, 0.2, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_whole_is_kept_as_it_is():
    assert np.array_equal(stratified_fraction(LABELS, 1.0, seed=5), np.arange(1000))


@pytest.mark.parametrize(
    ("labels", "fraction"), [(np.array([0, 0, 0, 1]), 0.5), (LABELS, 0.001), (LABELS, 0.999)]
)
def test_a_fraction_that_cannot_keep_the_shares_is_refused(labels, fraction):
    with pytest.raises(UserError) as caught:
        stratified_fraction(labels, fraction, seed=0)
    start = f"a stratified fraction of {fraction} of {len(labels)} images cannot be drawn: "
    assert str(caught.value).startswith(start)


FRACTIONS = (0.8, 0.09, 0.11)
SIZES = st.lists(st.integers(1, 12), min_size=40, max_size=120)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_whole_patients_near_the_fractions_in_any_order(sizes, seed, random):
    groups = np.repeat([f"p{i}" for i in range(len(sizes))], sizes)
    # Else one patient might cover the whole of the smallest split.
    assume(max(sizes) / sum(sizes) < min(FRACTIONS))
    split = patient_split(groups, FRACTIONS, seed)
    assert set(split) == set(SPLITS)
    assert len(set(zip(groups, split, strict=True))) == len(sizes)
    for name, fraction in zip(SPLITS, FRACTIONS, strict=True):
        assert abs((split == name).mean() - fraction) <= max(sizes) / sum(sizes) + 1e-9
    order = list(range(len(groups)))
    random.shuffle(order)
    assert np.array_equal(patient_split(groups[order], FRACTIONS, seed), split[order])


def test_the_middle_of_each_patient_decides():
    """Ten patients of one image: the middles lie at 0.05, 0.15, ..., 0.95."""
    split = patient_split(np.arange(10), (0.5, 0.3, 0.2), seed=3)
    assert [(split == name).sum() for name in SPLITS] == [5, 3, 2]
    shuffled = np.random.default_rng(3).permutation(10)
    assert list(split[shuffled]) == ["train"] * 5 + ["valid"] * 3 + ["test"] * 2


def test_the_split_follows_the_seed():
    groups = np.arange(200)
    assert not np.array_equal(patient_split(groups, seed=0), patient_split(groups, seed=1))


def test_a_split_that_nobody_asked_for_may_be_empty():
    split = patient_split(np.arange(30), (0.9, 0.1, 0.0))
    assert set(split) == {"train", "valid"}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_patients_are_refused(count):
    with pytest.raises(UserError) as caught:
        patient_split(np.repeat(np.arange(count), 20))
    assert str(caught.value).startswith(
        f"{count} patients are too few for splits of (0.8, 0.09, 0.11): "
    )


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.2), (1.1, -0.2, 0.1)])
def test_fractions_must_add_up(fractions):
    with pytest.raises(UserError, match=r"must be 0 or more and add up to 1"):
        patient_split(np.arange(50), fractions)


def test_a_patient_in_two_splits_is_named():
    groups = np.array(["b", "a", "a", "b", "c"])
    split = np.array(["train", "train", "valid", "test", "test"])
    with pytest.raises(UserError) as caught:
        check_no_overlap(groups, split)
    assert str(caught.value) == (
        "2 patients are in more than one split (a, b); a patient's images must all be in one: "
        "move them, or mend what names the splits"
    )


def manifest() -> pd.DataFrame:
    groups = np.repeat([f"{i:03d}" for i in range(30)], 2)
    return pd.DataFrame(
        {
            "path": [f"NORMAL/{i:02d}.png" for i in range(60)],
            "label": np.arange(60) % 2,
            "age": np.arange(60) / 4,
            "patient": groups,
            "split": patient_split(groups),
        }
    )


def test_manifests_come_back_as_they_were_written(tmp_path):
    write_manifests(tmp_path / "new", manifest())
    assert sorted(f.name for f in (tmp_path / "new").iterdir()) == [
        "test.csv",
        "train.csv",
        "val.csv",
    ]
    header = (tmp_path / "new" / "val.csv").read_text().splitlines()[0]
    assert header == "path,label,age,patient"
    found = read_manifests(tmp_path / "new").sort_values("path", ignore_index=True)
    pd.testing.assert_frame_equal(found, manifest().astype(str).astype(object), check_dtype=False)


def test_manifests_that_leak_are_neither_written_nor_read(tmp_path):
    leaking = manifest()
    leaking.loc[0, "split"] = "valid" if leaking.loc[0, "split"] == "train" else "train"
    with pytest.raises(UserError, match=r"1 patients are in more than one split \(000\)"):
        write_manifests(tmp_path, leaking)
    assert list(tmp_path.iterdir()) == []
    write_manifests(tmp_path, manifest())
    (tmp_path / "val.csv").write_text("path,label,patient\nnew.png,1,000\nother.png,1,029\n")
    with pytest.raises(UserError, match="in more than one split"):
        read_manifests(tmp_path)


def test_an_image_listed_twice_is_named(tmp_path):
    write_manifests(tmp_path, manifest())
    lines = (tmp_path / "val.csv").read_text().splitlines()
    (tmp_path / "val.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    path = lines[1].partition(",")[0]
    with pytest.raises(UserError) as caught:
        read_manifests(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the manifests list 1 images twice ({path}); keep one row of each"
    )


def test_manifests_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError) as caught:
        read_manifests(tmp_path)
    start = f"{tmp_path / 'train.csv'}: cannot be read as a table ("
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(f"{tmp_path} must hold train.csv, val.csv, test.csv")
    write_manifests(tmp_path, manifest())
    (tmp_path / "val.csv").write_text("path,label\na.png,1\n")
    with pytest.raises(UserError) as caught:
        read_manifests(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'val.csv'}: lacks the column 'patient'; has path, label"
    )


def test_a_row_without_path_or_patient_is_named(tmp_path):
    write_manifests(tmp_path, manifest())
    (tmp_path / "val.csv").write_text("path,label,patient\na.png,1,x\nb.png,1,\n")
    with pytest.raises(UserError) as caught:
        read_manifests(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'val.csv'}: line 3 has no patient; fill it in"
