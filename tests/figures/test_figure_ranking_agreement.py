"""The heat map of agreement holds what agreement.csv says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from robust_runs import HEADING, RANKED, run_of, scores_of

from xaibench.figures import ranking_agreement
from xaibench.leaderboards.board import ScoredRun


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> ScoredRun:
    return run_of(tmp_path_factory.mktemp("run"), scores_of())


def grid(ax, columns: int) -> np.ndarray:
    told = [text.get_text().replace("−", "-").replace("–", "nan") for text in ax.texts]
    return np.array(told, dtype=float).reshape(-1, columns)


def test_cells_are_taus_and_alphas(run, legible):
    ((name, figure),) = ranking_agreement.of_run(run)
    assert name == "ranking_agreement"
    left, right = figure.axes[:2]
    rows = pd.read_csv(run.folder / "agreement.csv")
    cells, count = grid(left, len(RANKED)), len(RANKED)
    np.testing.assert_array_equal(np.diag(cells), 1)
    np.testing.assert_array_equal(cells, cells.T)
    pairs = rows[rows["kind"].isin(["metrics", "fills", "orders"])]
    assert len(pairs) == count * (count - 1) / 2
    for _, row in pairs.iterrows():
        at = RANKED.index(row["a"]), RANKED.index(row["b"])
        assert cells[at] == pytest.approx(row["tau"], abs=0.0051)
    alphas = rows[rows["kind"] == "images"]["alpha"]
    assert grid(right, 1).ravel() == pytest.approx(alphas.to_numpy(), abs=0.0051)
    assert [image.get_clim() for ax in (left, right) for image in ax.images] == [(-1, 1)] * 2
    assert HEADING in figure.get_suptitle()
    assert "the 9 explainers alike? (controls left out)" in figure.get_suptitle()
    legible(figure)


def test_names_say_fill_and_order(run):
    ((_, figure),) = ranking_agreement.of_run(run)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[:3] == [
        "deletion (dataset_mean)  1",
        "deletion_blur (blur(11,5))  2",
        "deletion_least_first (dataset_mean, lerf)  3",
    ]
    assert names[-1] == "mass_accuracy@lungs_box_weak  7"


def test_twenty_metrics_make_it_wider(run, legible):
    rows = pd.read_csv(run.folder / "agreement.csv")
    images = rows[rows["kind"] == "images"]
    many = [images.assign(metric=images["metric"] + f"_{at}") for at in range(3)]
    names = {metric: metric for part in many for metric in part["metric"]}
    pairs = rows[rows["kind"] == "fills"].assign(a="srg_0", b="srg_1", tau=-0.53)
    figure = ranking_agreement.draw(pd.concat([pairs, *many]), names, HEADING)
    assert figure.get_figwidth() > 7.2
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told.count("−0.53") == 2
    assert told.count("–") == 21 * 20 - 2
    legible(figure)


def test_without_a_tau_there_is_no_figure(tmp_path):
    scores = scores_of()
    run = run_of(tmp_path, scores[scores["metric"] == "srg"])
    assert list(ranking_agreement.of_run(run)) == []
    (tmp_path / "agreement.csv").unlink()
    assert list(ranking_agreement.of_run(run)) == []
