"""Training seeds of tables, and of older ones that do not tell."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from xaibench.store.finished import FinishedRun
from xaibench.store.training_seeds import numbered, of_first, seeds_of, with_seeds

OLD = pd.DataFrame({"image": ["a", "b"]})
NEW = pd.DataFrame({"training_seed": [7, 7, 0, 0], "image": ["a", "b"] * 2})


def test_an_older_table_does_not_tell_its_seed():
    told = with_seeds(OLD)["training_seed"]
    assert told.isna().all()
    assert told.dtype == "Int64"
    assert numbered(OLD)["training_seed"].tolist() == [-1, -1]
    assert seeds_of(OLD) == []
    assert of_first(OLD).equals(OLD)


def test_the_first_seed_is_the_first_in_the_table():
    assert seeds_of(NEW) == [7, 0]
    assert of_first(NEW).index.tolist() == [0, 1]
    assert numbered(NEW).equals(NEW)
    mixed = pd.concat([OLD, NEW], ignore_index=True)
    assert numbered(mixed)["training_seed"].tolist() == [-1, -1, 7, 7, 0, 0]
    assert of_first(mixed)["training_seed"].tolist() == [7, 7]


@pytest.fixture
def run(tmp_path) -> FinishedRun:
    """Two seeds; the second one's targets and masks are of its own, its ids as of the first."""
    manifest = {"dataset": {"name": "toy"}, "training_seeds": [7, 0]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    predictions = NEW.assign(selected=[True, False] * 2, target=["x", None, "y", None])
    predictions.to_parquet(tmp_path / "predictions.parquet")
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["ids"], file["targets"] = [b"a"], [b"x"]
        file["seeds/0/targets"] = [b"y"]
        for place, value in (("", 1.0), ("seeds/0/", 2.0)):
            file[f"{place}maps/cam"] = np.full((1, 2, 2), value)
    return FinishedRun(tmp_path)


def test_a_finished_run_shows_its_first_seed(run):
    assert (run.training_seeds, run.first_seed) == ([7, 0], 7)
    assert len(run.every_prediction) == 4
    assert run.predictions["training_seed"].tolist() == [7, 7]
    with run.maps() as file:
        assert run.items(file)["target"].tolist() == ["x"]


def test_each_seed_has_its_own_items_and_arrays(run):
    with run.maps() as file:
        found = [(own["maps/cam"][0, 0, 0], items) for own, items in run.items_of_seeds(file)]
    assert [value for value, _ in found] == [1.0, 2.0]
    assert [items["target"].tolist() for _, items in found] == [["x"], ["y"]]


def test_an_older_run_has_the_items_that_it_has(run):
    (run.folder / "manifest.json").write_text(json.dumps({"dataset": {"name": "toy"}}))
    NEW.head(2).drop(columns="training_seed").assign(selected=True, target="x").to_parquet(
        run.folder / "predictions.parquet"
    )
    older = FinishedRun(run.folder)
    assert (older.training_seeds, older.first_seed) == ([], None)
    assert len(older.predictions) == 2
    with older.maps() as file:
        assert len(list(older.items_of_seeds(file))) == 1
