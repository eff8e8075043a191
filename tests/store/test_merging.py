"""Which runs are one table, and what is said where they are none."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from xaibench.errors import UserError
from xaibench.leaderboards.summary import summarise
from xaibench.store.merging import merge

MANIFEST = {
    "seed": 42,
    "dataset": {"name": "toy", "checksum": "c1", "images": {"train": 8}},
    "model": {"use": "net", "weights": "here.pt", "weights_used": "w", "checkpoint": "k"},
    "training": {"epochs": 2, "seeds": [], "augment": {"rotation": 10.0}, "save_every": 50},
    "environment": {"device": "cpu"},
}


def changed(**parts: dict[str, object]) -> dict[str, object]:
    """Return the manifest with some values of some parts changed."""
    return MANIFEST | {name: MANIFEST[name] | values for name, values in parts.items()}


@pytest.fixture
def write(tmp_path):
    """Write a run of one training seed (None: older code) and return its folder."""

    def written(name: str, seed: int | None, manifest: dict | None = MANIFEST, **own) -> Path:
        rows = [
            {"dataset": "toy", "split": "test", "model": "net", "training_seed": seed}
            | {"image": image, "group": image, "target": "x", "explainer": explainer}
            | {"metric": "deletion", "protocol": "deletion[]", "higher_is_better": False}
            | {"control": False, "status": "ok", "reason": None, "value": 0.1 + 0.01 * (seed or 0)}
            | own
            for image in ("a", "b")
            for explainer in ("cam", "random")
        ]
        table = pd.DataFrame(rows)
        folder = tmp_path / name
        folder.mkdir()
        if seed is None:
            table = table.drop(columns="training_seed")
        table.to_parquet(folder / "scores.parquet")
        if manifest:
            (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return written


def test_runs_of_other_training_seeds_are_one_table(write):
    merged = merge([write("one", 0), write("two", 1), write("three", 2)])
    assert len(merged) == 12
    assert merged["training_seed"].value_counts().to_dict() == {0: 4, 1: 4, 2: 4}
    summary = summarise(merged, flips=20).set_index("explainer")
    assert summary.loc["cam", "mean"] == pytest.approx(0.11)
    assert summary.loc["cam", ["rows", "images", "n_groups"]].tolist() == [6, 2, 2]


def test_rows_of_one_seed_that_two_runs_share_are_kept_once(write):
    assert len(merge([write("one", 0), write("two", 0), write("three", 1)])) == 8


def test_runs_that_tell_no_seed_are_merged_as_ever(write):
    merged = merge([write("one", None), write("two", None, explainer="lime")])
    assert len(merged) == 4 + 2
    assert merged["training_seed"].isna().all()
    assert len(summarise(merged, flips=20)) == 3


def test_a_run_that_tells_its_seed_and_one_that_does_not_are_not_mixed(write):
    folders = [write("older", None), write("newer", 0)]
    for pair in (folders, folders[::-1]):
        with pytest.raises(UserError) as caught:
            merge(pair)
        older, newer = folders
        assert str(caught.value) == (
            f"{older} does not tell the training seed of model 'net', {newer} does: whether they "
            f"share a model is not known; run {older} again"
        )


def test_other_values_of_one_seed_are_refused_and_told(write):
    one = write("one", 3)
    other = write("other", 3, changed(environment={"device": "GPU"}), value=0.5)
    with pytest.raises(UserError) as caught:
        merge([one, other])
    assert str(caught.value) == (
        f"{one} and {other} give different values of 'deletion' for explainer cam, model 'net', "
        f"training seed 3, image a: 0.13 in {one} and 0.5 in {other} (environment.device is cpu "
        f"in {one} and GPU in {other}); merge runs of different models, training seeds, "
        "explainers or images"
    )


def test_other_data_are_refused_and_both_named(write):
    one, other = write("one", 0), write("other", 1, changed(dataset={"checksum": "c2"}))
    with pytest.raises(UserError) as caught:
        merge([one, other])
    assert str(caught.value) == (
        "runs with different checksums cannot be merged: data set 'toy' has checksum c1 in "
        f"{one} and c2 in {other}; merge only runs with the same checksum, or run one of them again"
    )


def test_data_sets_of_other_names_may_have_other_checksums(write):
    other = write("other", 1, changed(dataset={"name": "more", "checksum": "c2"}), dataset="more")
    assert len(merge([write("one", 0), other])) == 8


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"training": {"epochs": 5}}, "training.epochs is 2 in {one} and 5 in {other}"),
        (
            {"training": {"augment": {"rotation": 0.0}}},
            "training.augment.rotation is 10.0 in {one} and 0.0 in {other}",
        ),
        ({"model": {"weights_used": "v"}}, "model.weights_used is w in {one} and v in {other}"),
        (
            {"dataset": {"images": {"train": 4}}},
            "dataset.images.train is 8 in {one} and 4 in {other}",
        ),
    ],
)
def test_models_that_were_trained_otherwise_are_no_seeds_of_one(write, parts, told):
    one, other = write("one", 0), write("other", 1, changed(**parts))
    with pytest.raises(UserError) as caught:
        merge([one, other])
    assert str(caught.value) == (
        f"{one} and {other} trained model 'net' with other seeds, but otherwise, too: "
        f"{told.format(one=one, other=other)}; merge runs that differ in the training seed alone"
    )


def test_what_follows_from_the_seed_or_changes_no_model_is_no_difference(write):
    other = changed(
        model={"checkpoint": "l", "best_epoch": 3, "weights": "there.pt", "newer": 1},
        training={"seeds": [1, 2], "save_every": 1},
        environment={"device": "GPU"},
    )
    assert len(merge([write("one", 0), write("other", 1, other)])) == 8
    assert len(merge([write("bare", 2, None), write("again", 1)])) == 8
