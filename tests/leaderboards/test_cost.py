"""Costs are means over images, never over two kinds of hardware, and missing where not measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cost_runs import MIB, block, scores, write

from xaibench.leaderboards.cost import EXPLAINING, SCORING, beside, of_runs
from xaibench.leaderboards.summary import summarise
from xaibench.store.merging import merge

EXPLAINERS = {"random": (0, 0), "lime": (100, 3)}


def costs_of(*folders):
    return of_runs(folders, merge(folders)).set_index("explainer")


@pytest.fixture
def folder(tmp_path):
    timings = [
        block("random", 3, 0.3),
        block("random", 1, 0.5, explain_peak_bytes=120 * MIB),
        block("lime", 4, 8.0),
        block(None, 4, 99.0),
    ]
    return write(tmp_path / "run", scores(EXPLAINERS), timings)


def test_costs_are_those_of_one_image_and_target(folder):
    costs = costs_of(folder)
    assert list(costs.index) == ["random", "lime"]
    random, lime = costs.loc["random"], costs.loc["lime"]
    assert random["seconds"] == pytest.approx((0.3 + 0.5) / 4)  # blocks weigh by their images
    assert lime["seconds"] == pytest.approx(2.0)
    assert lime["score_seconds"] == pytest.approx(20.0)
    assert random["peak_mib"] == 120
    assert random["score_peak_mib"] == 300
    assert (lime["forward_passes"], lime["backward_passes"]) == (101, 3)
    assert (lime["score_forward_passes"], lime["score_backward_passes"]) == (5, 1)
    assert set(costs["device"]) == {"GPU A"}


def test_an_older_run_lacks_what_it_did_not_measure(tmp_path):
    folder = write(tmp_path / "old", scores(EXPLAINERS), [block("lime", 4, 8.0)], old=True)
    lime, random = costs_of(folder).loc["lime"], costs_of(folder).loc["random"]
    assert (lime["seconds"], lime["score_seconds"], lime["forward_passes"]) == (2, 20, 101)
    assert lime[["peak_mib", "score_peak_mib", *SCORING[:2]]].isna().all()
    assert lime["device"] == "Chip, 4 threads"
    assert random[["seconds", "score_seconds", "device"]].isna().all()


def test_without_timings_and_passes_all_is_missing(tmp_path):
    rows = scores(EXPLAINERS).drop(columns=["forward_passes", "backward_passes"])
    folder = write(tmp_path / "bare", rows, None)
    (folder / "manifest.json").unlink()
    costs = costs_of(folder)
    assert costs[[*EXPLAINING, *SCORING, "device"]].isna().all(axis=None)
    assert len(costs) == 2


def test_an_unfinished_measure_is_the_mean_of_what_is_known(tmp_path):
    timings = [
        block("lime", 1, 8.0, explain_peak_bytes=None, score_forward=None, explain_seconds=None),
        block("lime", 3, 6.0),
    ]
    lime = costs_of(write(tmp_path / "run", scores(EXPLAINERS), timings)).loc["lime"]
    assert (lime["seconds"], lime["peak_mib"], lime["score_forward_passes"]) == (2, 100, 5)


def test_seconds_on_two_kinds_of_hardware_stand_apart_and_passes_together(folder, tmp_path):
    again = [block("lime", 4, 80.0, device="GPU B", score_forward=60)]
    other = write(tmp_path / "other", scores({"lime": (100, 3)}), again)
    costs = costs_of(folder, other)
    lime = costs.loc["lime"].set_index("device")
    assert lime["seconds"].to_dict() == {"GPU A": 2, "GPU B": 20}
    assert set(lime["score_forward_passes"]) == {(20 + 60) / 8}
    assert set(lime["forward_passes"]) == {101}
    assert len(costs.loc[["random"]]) == 1


def test_runs_on_the_same_hardware_are_pooled(folder, tmp_path):
    other = write(tmp_path / "other", scores({"lime": (100, 3)}), [block("lime", 12, 0.0)])
    assert costs_of(folder, other).loc["lime", "seconds"] == pytest.approx(8 / 16)


def test_models_are_not_mixed(folder, tmp_path):
    other = write(tmp_path / "vit", scores(EXPLAINERS, "vit"), [block("lime", 1, 50.0)])
    costs = of_runs([folder, other], merge([folder, other])).set_index(["model", "explainer"])
    assert costs.loc[("net", "lime"), "seconds"] == 2
    assert costs.loc[("vit", "lime"), "seconds"] == 50


def test_a_summary_has_the_costs_of_its_rows_beside_it(folder, tmp_path):
    other = write(tmp_path / "o", scores({"lime": (100, 3)}), [block("lime", 1, 1, device="GPU B")])
    both = [folder, other]
    summary = summarise(merge(both), flips=20)
    table = beside(summary, of_runs(both, merge(both)))
    pd.testing.assert_frame_equal(table[summary.columns], summary)
    rows = table.set_index(["explainer", "metric"])
    assert list(rows.loc["random", "seconds"]) == pytest.approx([0.2, 0.2])
    assert set(rows.loc["random", "device"]) == {"GPU A"}
    # Several kinds of hardware: no number that would belong to none of them.
    assert rows.loc["lime", ["seconds", "peak_mib", "score_seconds"]].isna().all(axis=None)
    assert set(rows.loc["lime", "device"]) == {"GPU A; GPU B"}
    assert set(rows.loc["lime", "forward_passes"]) == {101}


def test_columns_without_a_value_are_numbers_still(tmp_path):
    folder = write(tmp_path / "old", scores(EXPLAINERS), None)
    table = beside(summarise(merge([folder]), flips=20), of_runs([folder], merge([folder])))
    assert {table[name].dtype for name in (*EXPLAINING, *SCORING)} == {np.dtype(float)}
