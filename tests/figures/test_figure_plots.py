"""Structure of the plots made from tables: curves, ranking, training."""

from __future__ import annotations

import matplotlib.colors as mcolors
import numpy as np
import pandas as pd
import pytest

from xaibench.figures import curves as curve_figure
from xaibench.figures import rank_intervals, ranking
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.summary import summarise

CONTROLS = ("random", "center_prior")
HEADING = "pcam_synthetic (generated), resnet18, split test"


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# ------------------------------------------------------------------------------- curves


def test_curves_have_a_panel_a_metric_and_a_line_an_explainer(curves, legible):
    figure = curve_figure.draw(curves, "pcam_synthetic (generated)", controls=CONTROLS)
    titles = ["deletion ↓", "insertion ↑", "cumulative_drop", "cumulative_drop by area"]
    assert [ax.get_title() for ax in figure.axes] == titles
    assert [len(ax.lines) for ax in figure.axes] == [4, 4, 8, 8]
    assert [len(ax.collections) for ax in figure.axes] == [4, 4, 8, 8]
    assert figure.axes[0].get_xlabel() == "fraction of pixels replaced"
    assert "pcam_synthetic (generated)" in figure.get_suptitle()
    assert "random (control)" in legend_texts(figure)
    assert "least important first" in legend_texts(figure)
    legible(figure)


def test_orders_and_controls_have_their_lines(curves):
    figure = curve_figure.draw(curves, "pcam", controls=CONTROLS)
    dashed = [line.get_linestyle() for line in figure.axes[0].lines]
    assert dashed == ["--", "--", "-", "-"]
    drop = figure.axes[2].lines
    assert sorted(line.get_linestyle() for line in drop) == ["-"] * 4 + ["--"] * 4


def test_other_orders_and_likenesses_say_what_they_show(curves):
    """Least relevant first turns the arrow; both orders of srg share a panel."""
    one = curves[curves["curve"] == "deletion"]
    renamed = {
        "lazy": ["deletion@lerf"],
        "srg": ["morf@pixels", "lerf@pixels"],
        "weights": ["spearman", "spearman_abs", "ssim"],
    }
    parts = [one.assign(metric=metric, curve=c) for metric, its in renamed.items() for c in its]
    figure = curve_figure.draw(pd.concat(parts), "pcam")
    shown = figure.axes[:5]  # the sixth place of the grid is empty
    titles = ["lazy ↑", "srg", "weights: spearman", "weights: spearman_abs", "weights: ssim"]
    assert [ax.get_title() for ax in shown] == titles
    assert [len(ax.lines) for ax in shown] == [4, 8, 4, 4, 4]
    labels = [ax.get_xlabel() for ax in shown]
    assert labels[:2] == [
        "fraction of pixels replaced, least relevant first",
        "fraction of pixels replaced",
    ]
    assert set(labels[2:]) == {"fraction of layers drawn anew"}


def test_the_line_is_the_mean_on_the_common_grid(curves):
    figure = curve_figure.draw(curves, "pcam")
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), (1 - curve_figure.GRID) * 0.85)


def test_a_line_ends_where_its_curves_do(curves):
    one = curves[curves["curve"] == "deletion"].assign(metric="road", curve="road")
    x, y = np.array([0.1, 0.5, 0.9]), np.array([0.8, 0.6, 0.2])
    short = one.assign(x=[x] * len(one), y=[y] * len(one))
    figure = curve_figure.draw(short, "pcam")
    line = figure.axes[0].lines[0]
    assert figure.axes[0].get_title() == "road ↓"
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0.1, 0.9)
    np.testing.assert_allclose(line.get_ydata()[[0, -1]], [0.8, 0.2])


def test_a_single_group_has_no_band(curves):
    groups = dict.fromkeys(curves["image"], "one patient")
    figure = curve_figure.draw(curves, "pcam", groups)
    assert not any(ax.collections for ax in figure.axes)


def test_missing_curves_are_told(curves, legible):
    broken = curves.copy()
    hit = broken.index[(broken["explainer"] == "grad_cam") & (broken["image"] == "test_0")]
    broken["y"] = [y * np.nan if i in hit else y for i, y in broken["y"].items()]
    only = broken[broken["curve"] == "deletion"]
    figure = curve_figure.draw(only, "pcam")
    assert len(figure.axes) == 1
    assert "grad_cam (n=5)" in legend_texts(figure)
    legible(figure)


def test_one_metric_with_two_settings_is_two_panels(curves):
    deletion = curves[curves["curve"] == "deletion"]
    both = pd.concat([deletion, deletion.assign(metric="deletion_black")])
    figure = curve_figure.draw(both, "pcam")
    assert [ax.get_title() for ax in figure.axes] == ["deletion ↓", "deletion_black ↓"]
    assert [len(ax.lines) for ax in figure.axes] == [4, 4]


def test_curves_of_a_users_metric_are_drawn_under_its_name(curves):
    mine = curves[curves["curve"] == "deletion"].assign(metric="mine", curve="fidelity")
    assert curve_figure.draw(mine, "pcam").axes[0].get_title() == "mine: fidelity"


def crowded(curves, count):
    """Return the curves with so many explainers more, each a little worse than the one before."""
    one = curves[curves["explainer"] == "superpixel_occlusion"]
    signs = np.where(one["curve"] == "deletion", 1, -1)
    worse = [
        one.assign(
            explainer=f"extra_{at:02}",
            y=[y + sign * 0.01 * at for y, sign in zip(one["y"], signs, strict=True)],
        )
        for at in range(count)
    ]
    return pd.concat([*worse, curves[curves["explainer"].isin(CONTROLS)]])


@pytest.mark.parametrize("count", [10, 11])
def test_of_many_explainers_the_best_of_each_panel_have_colours(curves, count, legible):
    many = crowded(curves, count)
    figure = curve_figure.draw(many, "pcam", controls=CONTROLS)
    named = [name for name in legend_texts(figure) if name.startswith("extra")]
    if count == 10:
        assert len(named) == 10
        assert "each panel" not in figure.get_suptitle()
        return
    assert named == ["extra_00", "extra_01", "extra_02"]  # in every panel, whichever way is better
    assert "the other 8" in legend_texts(figure)
    assert "3 best of each panel, of 13 explainers" in figure.get_suptitle()
    deletion, _, drop, _ = figure.axes
    assert (len(deletion.lines), len(deletion.collections)) == (13, 5)
    assert (len(drop.lines), len(drop.collections)) == (26, 10)
    legible(figure)


def test_of_many_explainers_of_a_users_metric_none_is_called_best(curves):
    mine = crowded(curves[curves["curve"] == "deletion"], 11).assign(metric="m", curve="fidelity")
    figure = curve_figure.draw(mine, "pcam", controls=CONTROLS)
    assert legend_texts(figure) == ["random (control)", "center_prior (control)", "the other 11"]


def test_no_curves_no_figure(curves):
    assert curve_figure.draw(curves.iloc[:0], "pcam") is None


# ------------------------------------------------------------------------------- ranking


@pytest.fixture
def summary(scores):
    return summarise(scores, flips=50)


def test_ranking_has_a_facet_a_metric(summary, legible):
    figure = ranking.draw(summary, HEADING)
    titles = ["deletion ↓", "insertion ↑", "iou_top ↑\n@centre_weak\n(weak mask)"]
    assert [ax.get_title() for ax in figure.axes] == titles
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [
        "superpixel_occlusion",
        "grad_cam",
        "random (control)",
        "center_prior (control)",
    ]
    assert "pcam_synthetic (generated), resnet18, split test" in figure.get_suptitle()
    assert "6 images in 3 groups" in figure.get_suptitle()
    assert "mean of random" in legend_texts(figure)
    legible(figure)


def test_a_run_whose_every_score_says_nothing_has_no_ranking(finished_run, scores):
    assert [name for name, _ in ranking.of_run(ScoredRun(finished_run))] == ["ranking"]
    scores.assign(metric="iou_top@lungs").drop_duplicates(["image", "explainer"]).to_parquet(
        finished_run / "scores.parquet"
    )
    assert list(ranking.of_run(ScoredRun(finished_run))) == []


NO_RANKS = {
    "one control alone": lambda scores: scores[scores["explainer"] == "random"],
    "no direction": lambda scores: scores.assign(higher_is_better=None),
    "no value": lambda scores: scores.assign(value=np.nan, status="failed", reason="it broke"),
}


@pytest.mark.parametrize("name", NO_RANKS)
def test_a_run_in_which_nothing_ranks_has_a_ranking_and_no_intervals(name, finished_run, scores):
    NO_RANKS[name](scores).to_parquet(finished_run / "scores.parquet")
    run = ScoredRun(finished_run)
    assert not run.summary["rank"].notna().any()
    assert [figure for figure, _ in ranking.of_run(run)] == ["ranking"]
    assert list(rank_intervals.of_run(run)) == []


def test_what_unlike_maps_score_has_no_facet(summary):
    one = summary[summary["metric"] == "insertion"]
    likeness = [one.assign(metric=f"twin@ssim{end}") for end in ("", "_control")]
    alone = one.assign(metric="mine_control")  # a name of the user's, of no likeness
    told = ranking.telling(pd.concat([*likeness, alone]))
    assert list(told["metric"].unique()) == ["twin@ssim", "mine_control"]


def test_dots_stand_at_the_means_and_failures_tell_n(summary):
    ax = ranking.draw(summary, HEADING).axes[0]
    dots = [line for line in ax.lines if len(line.get_xdata()) == 1]
    rows = summary[summary["metric"] == "deletion"].set_index("explainer")
    order = ["superpixel_occlusion", "grad_cam", "random", "center_prior"]
    assert [d.get_xdata()[0] for d in dots] == pytest.approx(rows.loc[order, "mean"].to_list())
    assert [text.get_text() for text in ax.texts] == ["n=5/6"]


def test_hollow_dots_do_not_beat_random(summary):
    told = summary.assign(beats_random=(summary["explainer"] == "grad_cam").astype("boolean"))
    told.loc[told["explainer"] == "random", "beats_random"] = pd.NA
    ax = ranking.draw(told, HEADING).axes[0]
    faces = [line.get_markerfacecolor() for line in ax.lines if len(line.get_xdata()) == 1]
    hollow = [mcolors.to_hex(face) == "#ffffff" for face in faces]
    assert hollow == [True, False, True, True]


def test_an_explainer_without_a_value_is_said_so(summary, legible):
    gone = (summary["explainer"] == "grad_cam") & (summary["metric"] == "deletion")
    summary.loc[gone, ["mean", "low", "high"]] = np.nan
    summary.loc[gone, "n"] = 0
    one = ranking.draw(summary[summary["metric"] == "deletion"], HEADING)
    assert "– no value" in [text.get_text() for text in one.axes[0].texts]
    assert one.get_figwidth() == 3.5
    legible(one)


def test_every_metric_has_its_facet_when_there_are_many(summary, legible):
    more = [summary.assign(metric=summary["metric"] + str(i)) for i in range(2)]
    figure = ranking.draw(pd.concat(more), HEADING)
    assert sum(ax.axison for ax in figure.axes) == 2 * 3
    legible(figure)
