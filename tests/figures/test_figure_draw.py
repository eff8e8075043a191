"""Every figure of a run's folder is drawn, and what is missing is left out."""

from __future__ import annotations

import gc
import weakref

import h5py
import numpy as np
import pytest

from xaibench.errors import UserError
from xaibench.figures.draw import draw_all, drawn_formats
from xaibench.leaderboards.board import ScoredRun
from xaibench.progress import SilentProgress
from xaibench.store.finished import aligned

NAMES = [
    *("training", "ranking", "rank_intervals", "curves", "panels", "agreement"),
    *("true_positives", "failures"),
]
OF_SCORES = ["ranking.png", "rank_intervals.png"]


def test_a_finished_run_has_all_its_figures(finished_run, monkeypatch):
    # Quicker: fewer pixels, and fewer panels to make room for.
    monkeypatch.setattr("xaibench.figures.base.DPI", 40)
    monkeypatch.setattr("xaibench.figures.choice.representative", lambda rows: rows.iloc[[0, 2]])
    paths = draw_all(ScoredRun(finished_run), SilentProgress())
    assert paths == [finished_run / "figures" / f"{name}.png" for name in NAMES]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert len(list((finished_run / "figures").iterdir())) == len(paths)


def test_missing_files_leave_their_figures_out(finished_run):
    for name in ("maps.h5", "curves.parquet"):
        (finished_run / name).unlink()
    (finished_run / "training_log.csv").write_text("")
    paths = draw_all(ScoredRun(finished_run), SilentProgress())
    assert [path.name for path in paths] == OF_SCORES


def test_cost_is_drawn_where_the_run_tells_it(finished_run, scores):
    for name in ("maps.h5", "curves.parquet", "training_log.csv"):
        (finished_run / name).unlink()
    told = scores.assign(forward_passes=scores["explainer"].map(len), backward_passes=0)
    told.to_parquet(finished_run / "scores.parquet")
    paths = draw_all(ScoredRun(finished_run), SilentProgress())
    assert [p.name for p in paths] == [*OF_SCORES, "cost.png"]
    assert drawn_formats(finished_run) == ["png"]


def test_the_formats_asked_for_are_those_written(finished_run):
    for name in ("maps.h5", "curves.parquet", "training_log.csv"):
        (finished_run / name).unlink()
    assert drawn_formats(finished_run) == []
    paths = draw_all(ScoredRun(finished_run), SilentProgress(), ("svg", "pdf"))
    assert {path.name for path in paths} == {
        *("ranking.svg", "ranking.pdf", "rank_intervals.svg", "rank_intervals.pdf")
    }
    assert set((finished_run / "figures").iterdir()) == set(paths)
    assert drawn_formats(finished_run) == ["pdf", "svg"]


def test_more_than_eight_explainers_are_several_panels(finished_run, monkeypatch):
    monkeypatch.setattr(
        "xaibench.figures.draw.save", lambda figure, folder, name, formats: [folder / name]
    )
    for name in ("training_log.csv", "curves.parquet"):
        (finished_run / name).unlink()
    with h5py.File(finished_run / "maps.h5", "a") as file:
        for i in range(5):
            file[f"maps/more_{i}"] = np.random.default_rng(i).random((6, 16, 16), dtype="float32")
    names = [path.name for path in draw_all(ScoredRun(finished_run), SilentProgress())]
    assert names == [
        *("ranking", "rank_intervals", "panels", "panels_2", "agreement"),
        *("true_positives", "failures"),
    ]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no manifest\.json; give the folder of a finished run"):
        draw_all(ScoredRun(tmp_path), SilentProgress())


def test_rows_follow_the_maps_when_an_image_has_several_targets(predictions):
    rows = predictions.iloc[[0, 1, 1, 2]].assign(target=list("abcd"), selected=[1, 1, 1, 0])
    found = aligned(["test_1", "test_1", "test_0"], rows)
    assert list(found["target"]) == ["b", "c", "a"]


def test_no_figure_outlives_its_drawing_and_the_collector_is_left_as_found(
    finished_run, monkeypatch
):
    alive = []

    def save(figure, folder, name, formats):
        assert sum(each() is not None for each in alive) <= 1  # the one before, at most
        alive.append(weakref.ref(figure))
        return []

    monkeypatch.setattr("xaibench.figures.draw.save", save)
    draw_all(ScoredRun(finished_run), SilentProgress())
    assert len(alive) == len(NAMES)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
