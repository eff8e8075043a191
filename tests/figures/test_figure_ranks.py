"""Figures of ranks: their intervals, critical differences, and several training seeds."""

from __future__ import annotations

import matplotlib.colors as mcolors
import numpy as np
import pandas as pd
import pytest
from robust_runs import CONTROLS, EXPLAINERS, HEADING, METRICS, RANKED, of_seeds, run_of, scores_of

from xaibench.figures import critical_difference, rank_intervals, training_seeds
from xaibench.figures.looks import looks_in
from xaibench.leaderboards.board import ScoredRun


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> ScoredRun:
    return run_of(tmp_path_factory.mktemp("run"), scores_of())


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def shown(figure):
    return [ax for ax in figure.axes if ax.axison]


# ------------------------------------------------------------------------------- intervals


def test_every_metric_that_ranks_has_its_panel(run, legible):
    drawn = dict(rank_intervals.of_run(run))
    assert list(drawn) == ["rank_intervals", "rank_intervals_2"]
    panels = [ax for figure in drawn.values() for ax in shown(figure)]
    titles = [ax.get_title().replace("\n", "") for ax in panels]
    assert [title.split(" ")[0] for title in titles] == RANKED
    for figure in drawn.values():
        assert HEADING in figure.get_suptitle().replace("\n", " ")
        legible(figure)


def test_dots_are_ranks_and_lines_their_intervals(run):
    ax = next(iter(dict(rank_intervals.of_run(run)).values())).axes[0]
    rows = run.summary[run.summary["metric"] == "deletion"].sort_values("rank")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == list(rows["explainer"])
    lines = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    np.testing.assert_array_equal(lines, rows[["rank_low", "rank_high"]].to_numpy(dtype=float))
    dots = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [dot.get_xdata()[0] for dot in dots] == list(rows["rank"])
    hollow = [mcolors.to_hex(dot.get_markerfacecolor()) == "#ffffff" for dot in dots]
    assert hollow == [name in CONTROLS for name in names]


def test_too_few_groups_are_said_in_place_of_ranks(tmp_path, legible):
    ((name, figure),) = rank_intervals.of_run(run_of(tmp_path, scores_of(groups=4)))
    assert name == "rank_intervals"
    assert texts(figure.axes[0]) == [
        "no intervals of ranks:\ntoo few groups to test (4; 6 are needed)"
    ]
    legible(figure)


def test_one_metric_without_intervals_says_why_in_its_panel(tmp_path, legible):
    scores = scores_of()
    scores.loc[(scores["metric"] == "srg") & (scores["group"] > "g3"), "value"] = np.nan
    drawn = dict(rank_intervals.of_run(run_of(tmp_path, scores)))
    (why,) = texts(drawn["rank_intervals"].axes[RANKED.index("srg")])
    assert why.replace("\n", " ") == "too few groups to test (4; 6 are needed)"
    legible(drawn["rank_intervals"])


# ------------------------------------------------------------------------------- differences


def test_metrics_of_faithfulness_have_their_diagram(run, legible):
    drawn = dict(critical_difference.of_run(run))
    assert list(drawn) == ["critical_difference", "critical_difference_2"]
    titles = [ax.get_title() for figure in drawn.values() for ax in shown(figure)]
    assert [title.split(" ")[0] for title in titles] == RANKED[:-1]  # a mask asks no model
    assert titles[0] == "deletion ↓: Friedman p < 0.001, 8 groups"
    for figure in drawn.values():
        legible(figure)


def test_names_stand_once_with_their_mean_rank_and_do_not_overlap(run):
    figure = dict(critical_difference.of_run(run))["critical_difference"]
    figure.draw_without_rendering()
    pairs = pd.read_csv(run.folder / "friedman_pairs.csv")
    own = pairs[pairs["metric"] == "deletion"]
    ranks = dict(zip(own["a"], own["rank_a"], strict=True)) | dict(
        zip(own["b"], own["rank_b"], strict=True)
    )
    told = {
        part: float(number)
        for text in texts(figure.axes[0])
        for part, number in [sorted(text.split("  "), key=lambda part: part[0].isdigit())]
    }
    looks = looks_in(run.summary)
    assert told == {looks[name].name: round(rank, 2) for name, rank in ranks.items()}
    for ax in shown(figure):
        boxes = [text.get_window_extent() for text in ax.texts]
        for at, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[at + 1 :])


def test_bars_join_what_is_not_told_apart(run, legible):
    tests = pd.DataFrame(
        {"metric": ["srg"], "p": [0.2], "blocks": [7], "left_out": [2], "explainers": [3]}
    ).assign(higher_is_better=True)
    pairs = pd.DataFrame(
        [("a", "b", 1.0, 1.5, 0.6), ("a", "c", 1.0, 3.0, 0.01), ("b", "c", 1.5, 3.0, 0.2)],
        columns=["a", "b", "rank_a", "rank_b", "p"],
    ).assign(metric="srg")
    looks = looks_in(pd.DataFrame({"explainer": ["a", "b", "c"], "control": False}))
    figure = critical_difference.draw(tests, pairs, looks, HEADING)
    ax = figure.axes[0]
    assert ax.get_title() == "srg ↑: Friedman p = 0.200, 7 groups (2 incomplete left out)"
    bars = [sorted(line.get_xdata()) for line in ax.lines if line.get_linewidth() > 2]
    assert sorted(bars) == [[1.0, 1.5], [1.5, 3.0]]
    legible(figure)


def test_without_a_test_there_is_no_diagram(tmp_path):
    assert list(critical_difference.of_run(run_of(tmp_path, scores_of(groups=4)))) == []
    for name in ("friedman.csv", "friedman_pairs.csv"):
        (tmp_path / name).unlink()
    assert list(critical_difference.of_run(ScoredRun(tmp_path))) == []


# ------------------------------------------------------------------------------- seeds


def test_one_training_seed_has_no_slopes(run):
    assert list(training_seeds.of_run(run)) == []


def test_each_explainers_means_are_connected_over_seeds(legible):
    analysis = of_seeds(3)
    figure = training_seeds.draw(analysis.seeds, analysis.summary, HEADING)
    titles = [ax.get_title().replace("\n", "").split(" ")[0] for ax in shown(figure)]
    assert titles == [metric for metric in METRICS if not metric.endswith("_control")]
    ax = figure.axes[0]
    slopes = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 3]
    assert len(slopes) == len(EXPLAINERS)
    own = analysis.seeds[analysis.seeds["metric"] == "deletion"]
    lime = own[own["explainer"] == "lime"].sort_values("training_seed")["mean"]
    assert sum(np.array_equal(slope, lime) for slope in slopes) == 1
    whole = analysis.summary[analysis.summary["metric"] == "deletion"]["mean"]
    dots = [line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
    assert sorted(dots) == pytest.approx(sorted(whole))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2", "mean"]
    assert "means of each trained model, and over all" in figure.get_suptitle().replace("\n", " ")
    legible(figure)
