"""Two runs are the same only where every cell is, but for what is measured."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from benchmarks.same_numbers import compare


@pytest.fixture
def runs(tmp_path):
    for name in ("before", "after"):
        write(tmp_path / name, run=name)
    return tmp_path / "before", tmp_path / "after"


def write(
    folder, run="r", value=0.1 + 0.2, curve=(0.5, 0.25), mean="0.30000000000000004", map_=1.0
):
    folder.mkdir(exist_ok=True)
    scores = pd.DataFrame({"run": run, "value": [value, np.nan], "reason": [None, "why"]})
    scores.to_parquet(folder / "scores.parquet")
    pd.DataFrame({"y": [np.array(curve)]}).to_parquet(folder / "curves.parquet")
    pd.DataFrame({"seconds": [np.random.default_rng().random()]}).to_parquet(
        folder / "timings.parquet"
    )
    (folder / "leaderboard.csv").write_text(f"mean,seconds,device\n{mean},{run},{run}\n")
    with h5py.File(folder / "maps.h5", "w") as file:
        file["maps/lime"] = np.array([map_, np.nan], np.float32)
        file["ids"] = np.array([b"one"])


def different(runs):
    return [said.partition(",")[0] for said, same in compare(*runs) if not same]


def test_runs_that_differ_in_what_is_measured_are_the_same(runs):
    said = [line for line, _ in compare(*runs)]
    assert said == [
        "curves.parquet, 1 x 1 cells",
        "leaderboard.csv, 1 x 1 cells",
        "scores.parquet, 2 x 2 cells",
        "maps.h5, 2 arrays",
    ]
    assert different(runs) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"value": 0.3}, "scores.parquet"),
        ({"value": np.nan}, "scores.parquet"),
        ({"curve": (0.5, np.nextafter(0.25, 1))}, "curves.parquet"),
        ({"curve": (0.5,)}, "curves.parquet"),
        ({"mean": "0.3"}, "leaderboard.csv"),
        ({"map_": np.nextafter(np.float32(1), 2)}, "maps.h5"),
    ],
)
def test_the_last_bit_counts(runs, change, where):
    write(runs[1], **change)
    assert different(runs) == [where]


def test_a_table_that_only_one_has_is_a_difference(runs):
    (runs[1] / "probes.csv").write_text("a\n1\n")
    assert different(runs) == ["probes.csv is there only once"]
