"""Verifying a run: what was not touched passes; each thing that was changed is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pandas as pd
import pytest
from test_run import Lab

from xaibench.errors import UserError
from xaibench.progress import SilentProgress
from xaibench.runs.sameness import Check, largest_difference, of_environment
from xaibench.runs.verifying import Asked, verify
from xaibench.store.seal import seal


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a run with a twin, in an OUT with its cache; never changed."""
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("draw_all", "write_page"):
            patch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
        twin = "metrics={deletion: {steps: 4}, label_randomisation: }"
        return Lab(tmp_path_factory.mktemp("verified")).run("out", twin)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Path:
    """The folder of a run of two training seeds."""
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("draw_all", "write_page"):
            patch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
        small = ("metrics={deletion: {steps: 4}}", "explainers={random: , darkness: }")
        return Lab(tmp_path_factory.mktemp("seeds")).run("out", *small, "training.seeds=[3, 1]")


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the run and of its cache, which a test may change."""
    out = finished.parents[1]
    shutil.copytree(out, tmp_path / "out")
    return tmp_path / "out" / finished.relative_to(out)


def checks(run: Path, **options) -> dict[str, Check]:
    return {check.what: check for check in verify(Asked(run, **options), SilentProgress())}


def failed(run: Path, **options) -> dict[str, str]:
    return {k: c.said for k, c in checks(run, **options).items() if c.passed is False}


def test_an_untouched_run_passes_and_stays_as_it_is(run, monkeypatch):
    monkeypatch.setattr("xaibench.training.loop._Run", None)  # raises if anything is trained
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = checks(run, cells=99)
    cells = [f"{e}, block {b}" for e in ("random", "square_occlusion", "darkness") for b in (0, 1)]
    assert list(found) == [
        *("files", "environment", "data set", "weights", "checkpoint", "predictions"),
        *cells,
    ]
    assert all(check.passed is not False for check in found.values())
    # deletion, three similarities and their controls, of two images
    assert {found[c].said for c in cells} == {"largest difference 0 over 14 scores"}
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_each_training_seed_is_verified(seeds, monkeypatch):
    monkeypatch.setattr("xaibench.training.loop._Run", None)
    found = checks(seeds, cells=99)
    assert all(check.passed is not False for check in found.values())
    cells = [
        f"{e}, block {b}, training seed {seed}"
        for seed in (3, 1) for e in ("random", "darkness") for b in (0, 1)
    ]  # fmt: skip
    assert list(found)[5:] == [
        "predictions, training seed 3",
        "predictions, training seed 1",
        *cells,
    ]
    assert found["checkpoint"].said.count(", ") == 1


def test_a_changed_score_of_one_training_seed_is_found_there(seeds, tmp_path):
    out = seeds.parents[1]
    shutil.copytree(out, tmp_path / "out")
    run = tmp_path / "out" / seeds.relative_to(out)
    rows = pd.read_parquet(run / "scores.parquet")
    rows.loc[rows["training_seed"].eq(1) & rows["explainer"].eq("random"), "value"] += 0.5
    rows.to_parquet(run / "scores.parquet")
    seal(run)
    names = {f"random, block {block}, training seed 1" for block in (0, 1)}
    assert set(failed(run, cells=99)) == names


def test_so_many_cells_are_drawn_as_were_asked_for(run):
    draws = [[what for what in checks(run, cells=n) if "block" in what] for n in (0, 2, 2)]
    assert [len(draw) for draw in draws] == [0, 2, 2]
    assert draws[1] == draws[2]


@pytest.mark.parametrize("name", ["config.yaml", "scores.parquet", "maps.h5"])
def test_a_changed_file_is_named_and_nothing_is_computed_from_it(run, name):
    if name == "scores.parquet":
        rows = pd.read_parquet(run / name)
        rows.loc[0, "value"] += 1e-9
        rows.to_parquet(run / name)
    elif name == "maps.h5":
        with h5py.File(run / name, "r+") as file:
            file["maps/darkness"][0, 0, 0] += 1
    else:
        (run / name).write_text((run / name).read_text().replace("steps: 4", "steps: 5"))
    assert failed(run) == {
        name: "has changed since the run was finished",
        "cells": f"not computed anew: first restore {name}",
    }


def test_a_missing_file_is_named(run):
    (run / "curves.parquet").unlink()
    assert failed(run)["curves.parquet"] == "is missing"


def test_a_score_that_was_changed_together_with_its_checksum_is_found(run):
    rows = pd.read_parquet(run / "scores.parquet")
    rows.loc[rows["explainer"].eq("darkness"), "value"] += 1e-3
    rows.to_parquet(run / "scores.parquet")
    seal(run)
    found = failed(run, cells=99)
    assert set(found) == {"darkness, block 0", "darkness, block 1"}
    assert found["darkness, block 0"].startswith("largest difference 0.001 over 14 scores")
    assert failed(run, cells=99, tolerance=0.01) == {}


def test_a_missing_checkpoint_is_said_with_what_to_run_and_nothing_is_trained(run, monkeypatch):
    monkeypatch.setattr("xaibench.training.loop._Run", None)
    out = run.parents[1]
    shutil.rmtree(out / "cache" / "checkpoints")
    (why,) = failed(run).values()
    key = json.loads((run / "manifest.json").read_text())["model"]["checkpoint"]
    assert why.startswith(f"{key[:16]} is not in {out / 'cache' / 'checkpoints'}; nothing is")
    assert f"`xaibench train {run / 'config.yaml'} --out {out}`" in why


def test_a_damaged_checkpoint_or_twin_is_said_too(run, monkeypatch):
    monkeypatch.setattr("xaibench.training.loop._Run", None)
    key = json.loads((run / "manifest.json").read_text())["model"]["checkpoint"]
    (twin,) = [
        folder
        for folder in (run.parents[1] / "cache" / "checkpoints").iterdir()
        if folder.name != key[:16]
    ]
    shutil.rmtree(twin)
    assert failed(run)["checkpoint"].startswith(f"checkpoint {twin} is missing or damaged; ")


def test_checkpoints_elsewhere_are_found(run, tmp_path):
    (run.parents[1] / "cache").rename(tmp_path / "kept")
    assert set(failed(run)) == {"checkpoint"}
    assert failed(run, cache=tmp_path / "kept", cells=1) == {}


@pytest.mark.parametrize(
    ("part", "key", "what"),
    [("dataset", "checksum", "data set"), ("model", "weights_used", "weights")],
)
def test_other_data_or_weights_are_named_and_nothing_is_computed(run, part, key, what):
    told = json.loads((run / "manifest.json").read_text())
    told[part][key] = "0123456789abcdef"
    (run / "manifest.json").write_text(json.dumps(told))
    found = checks(run)
    assert list(found)[-1] == what
    assert found[what].passed is False
    assert "0123456789ab" in found[what].said


def test_a_checkpoint_of_older_training_code_is_still_the_runs(run, monkeypatch):
    monkeypatch.setattr("xaibench.runs.fitting.training_version", lambda: "newer")
    assert failed(run, cells=1) == {}


def test_a_run_without_checksums_is_computed_anew_all_the_same(run):
    (run / "checksums.json").unlink()
    assert list(failed(run, cells=1)) == ["checksums.json"]
    assert "predictions" in checks(run, cells=0)


def test_a_run_that_is_not_finished_is_refused(run):
    told = json.loads((run / "manifest.json").read_text()) | {"status": "running"}
    (run / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="is not finished; run its config again"):
        checks(run)


def test_another_environment_is_told_and_is_no_failure():
    then = {"code": "a" * 64, "device": "cpu", "packages": {"torch": "2.5", "numpy": "1.26"}}
    now = {"code": "a" * 64, "device": "gpu", "packages": {"torch": "2.6", "numpy": "1.26"}}
    found = {check.what: check for check in of_environment(then, now)}
    assert set(found) == {"device", "torch"}
    assert found["torch"].said.startswith("was 2.5, is 2.6")
    assert [check.passed for check in found.values()] == [None, None]
    (same,) = of_environment(then, then)
    assert same.what == "environment"


def test_a_missing_value_is_equal_to_a_missing_value_alone():
    nan = float("nan")
    arrays = [pd.Series(values).to_numpy() for values in ([nan, 1.0], [nan, 1.5], [0.0, 1.0])]
    assert largest_difference(arrays[0], arrays[1]) == 0.5
    assert largest_difference(arrays[0], arrays[2]) == float("inf")
