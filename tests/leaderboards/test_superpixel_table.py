"""The table of superpixels against loops over pixels and segments."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards.superpixel_table import (
    extremes,
    make,
    occluders,
    segment_drops,
    superpixel_table,
)
from xaibench.store.finished import FinishedRun

RNG = np.random.default_rng(0)


def labels(count: int, side: int = 12) -> np.ndarray:
    """Segments of uneven area, each of which is there."""
    flat = RNG.integers(0, count, side * side)
    flat[:count] = np.arange(count)
    return RNG.permutation(flat).reshape(side, side).astype(np.int32)


def literal_rows(drops: dict[int, float], segments: np.ndarray, few: int = 5) -> list[tuple]:
    """Count pixels, sort numbers, and write the rows down one by one."""
    rows = []
    for side, sign in (("most", -1), ("least", 1)):
        order = sorted(drops, key=lambda s: (sign * drops[s], s))
        for place, segment in enumerate(order[:few], start=1):
            area = sum(int(segments[y, x] == segment) for y, x in np.ndindex(*segments.shape))
            percent = 100 * area / segments.size
            drop = drops[segment]
            rows.append((side, place, segment, drop, abs(drop), drop / percent, area, percent))
    return rows


COLUMNS = [
    *("side", "place", "segment", "drop", "abs_drop", "drop_per_percent", "area_pixels"),
    "area_percent",
]


@pytest.mark.parametrize("count", [1, 4, 10, 40])
@pytest.mark.parametrize("measure", ["drop", "drop_per_area"])
def test_rows_are_those_of_the_literal_twin(count, measure):
    segments = labels(count)
    # Multiples of 1/8 are exact in float32, and some are equal: ties go by number.
    drops = {s: float(RNG.integers(-8, 8)) / 8 for s in range(count)}
    areas = np.bincount(segments.ravel())
    values = np.vectorize(drops.get)(segments).astype(np.float32)
    if measure == "drop_per_area":
        values = (values / (100 * areas[segments] / segments.size)).astype(np.float32)
    table = extremes(segment_drops(values, segments, measure))
    wanted = pd.DataFrame(literal_rows(drops, segments), columns=COLUMNS)
    assert len(table) == 2 * min(5, count)
    if measure == "drop":
        pd.testing.assert_frame_equal(table[COLUMNS], wanted, check_dtype=False, check_exact=True)
    else:  # the map was rounded to float32, so ties may part: the drops are the same
        assert table["drop"].to_numpy() == pytest.approx(wanted["drop"].to_numpy(), rel=1e-6)


def test_ties_go_by_number_on_both_sides():
    segments = np.arange(9).reshape(3, 3)
    table = extremes(segment_drops(np.zeros((3, 3), np.float32), segments, "drop"))
    assert table["segment"].tolist() == [0, 1, 2, 3, 4] * 2


@pytest.fixture
def run(tmp_path) -> FinishedRun:
    """Two images; the second one's map failed. Two explainers hide superpixels, one does not."""
    segments = np.stack([labels(12), labels(12)])
    drops = RNG.standard_normal(12).astype(np.float32)
    maps = np.stack([drops[segments[0]], np.full((12, 12), np.nan, np.float32)])
    hides = lambda measure: {"use": "superpixel_occlusion", "measure": measure}
    explainers = {"mine": hides("drop"), "cam": {"use": "cam"}, "dense": hides("drop_per_area")}
    manifest = {"dataset": {"name": "toy"}, "explainers": explainers}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["ids"], file["targets"] = [b"i0", b"i1"], [b"a", b"b"]
        file["segments"] = segments
        for name in explainers:
            file[f"maps/{name}"] = maps
    return FinishedRun(tmp_path)


def test_a_run_has_rows_for_each_image_and_explainer_that_hides_superpixels(run):
    assert occluders(run.manifest) == {"mine": "drop", "dense": "drop_per_area"}
    table = superpixel_table(run)
    counts = table.groupby(["explainer", "image", "target"]).size().to_dict()
    assert counts == {
        (e, *i): n for e in ("mine", "dense") for i, n in {("i0", "a"): 10, ("i1", "b"): 1}.items()
    }
    failed = table[table["image"] == "i1"]
    assert set(failed["reason"]) == {"the map has values that are not finite"}
    assert failed[["segment", "drop", "area_pixels"]].isna().all(axis=None)
    make(run)
    read = pd.read_csv(run.folder / "superpixels.csv")
    assert read["drop"].dropna().tolist() == table["drop"].dropna().tolist()


def test_the_table_names_the_training_seed_whose_maps_it_tells(run):
    assert superpixel_table(run)["training_seed"].isna().all()
    run.manifest["training_seeds"] = [6, 2]
    assert set(superpixel_table(run)["training_seed"]) == {6}


def test_a_run_without_such_an_explainer_has_no_table(run):
    run.manifest["explainers"] = {"cam": {"use": "cam"}}
    make(run)
    assert not (run.folder / "superpixels.csv").exists()
    (run.folder / "maps.h5").unlink()
    run.manifest["explainers"] = {"mine": {"use": "superpixel_occlusion", "measure": "drop"}}
    assert superpixel_table(run).empty
