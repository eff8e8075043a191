"""Faithfulness against cost: where the points stand, what the front is, names that are apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation

from xaibench.figures import cost
from xaibench.figures.base import style
from xaibench.figures.cost import front
from xaibench.leaderboards.summary import summarise
from xaibench.store.schema import KEYS

SECONDS = {"random": 2e-4, "center_prior": 1e-4, "superpixel_occlusion": 0.3, "grad_cam": 0.01}
HEADING = "pcam_synthetic (generated), resnet18, split test"
PASSES = {"random": 0, "center_prior": 0, "superpixel_occlusion": 50, "grad_cam": 1}


@pytest.fixture
def summary(scores):
    more = scores[scores["metric"] == "deletion"].assign(
        metric="drop", protocol="cumulative_drop[steps=10]", higher_is_better=True
    )
    return summarise(pd.concat([scores, more]), flips=50)


@pytest.fixture
def costs(summary):
    return pd.DataFrame(
        {
            **{key: summary[key].iloc[0] for key in KEYS},
            "explainer": list(SECONDS),
            "device": "GPU A",
            "forward_passes": list(PASSES.values()),
            "backward_passes": [0.0, 0.0, 0.0, 1.0],
            "seconds": list(SECONDS.values()),
        }
    )


def names_of(ax) -> list[Annotation]:
    return [text for text in ax.texts if isinstance(text, Annotation)]


def marks_of(ax) -> list:
    return [line for line in ax.lines if line.get_marker() not in ("None", None)]


def literal_front(points):
    """A point is on the front unless another is no worse in both and better in one."""

    def beaten(a, b):
        return b[0] <= a[0] and b[1] >= a[1] and b != a

    return {at for at, a in enumerate(points) if not any(beaten(a, b) for b in points)}


@pytest.mark.parametrize("seed", range(30))
def test_the_front_is_its_literal_twin(seed):
    rng = np.random.default_rng(seed)
    points = [tuple(p) for p in rng.integers(0, 6, (rng.integers(1, 12), 2)).tolist()]
    found = front([p[0] for p in points], [p[1] for p in points])
    assert set(found) == literal_front(points)
    assert [points[at] for at in found] == sorted(points[at] for at in found)


def test_there_is_a_panel_for_each_metric_of_faithfulness(summary, costs, legible):
    figure = cost.draw(summary, costs, HEADING)
    assert [ax.get_ylabel() for ax in figure.axes] == ["deletion ↓", "insertion ↑", "drop ↑"]
    assert {ax.get_xlabel() for ax in figure.axes} == {"seconds a map"}
    assert {ax.get_xscale() for ax in figure.axes} == {"log"}
    assert figure.get_suptitle() == f"{HEADING}\non GPU A"
    legible(figure)


def test_points_stand_at_cost_and_mean_and_controls_are_hollow(summary, costs):
    ax = cost.draw(summary, costs, HEADING).axes[0]
    rows = summary[summary["metric"] == "deletion"].set_index("explainer")
    wanted = sorted(
        (SECONDS[e], rows.loc[e, "mean"], bool(rows.loc[e, "control"])) for e in SECONDS
    )
    found = sorted(
        (line.get_xdata()[0], line.get_ydata()[0], line.get_markerfacecolor() == "white")
        for line in marks_of(ax)
    )
    assert [w[2] for w in wanted] == [f[2] for f in found]
    assert np.allclose([w[:2] for w in wanted], [f[:2] for f in found])


def test_the_front_is_drawn_in_steps_without_controls(summary, costs):
    summary = summary.copy()
    mean = {"random": 0.0, "center_prior": 0.0, "grad_cam": 0.5, "superpixel_occlusion": 0.2}
    summary["mean"] = summary["explainer"].map(mean)  # deletion: less is better
    ax = cost.draw(summary, costs, HEADING).axes[0]
    (line,) = [line for line in ax.lines if len(line.get_xdata()) == 4]
    right = ax.get_xlim()[1]
    assert line.get_xdata().tolist() == [0.01, 0.3, 0.3, right]
    assert line.get_ydata().tolist() == [0.5, 0.5, 0.2, 0.2]


def test_names_cover_neither_each_other_nor_markers(summary, costs):
    figure = cost.draw(summary, costs, HEADING)
    figure.draw_without_rendering()
    for ax in figure.axes:
        names = names_of(ax)
        assert sorted(n.get_text().replace("\n", "") for n in names) == sorted(SECONDS)
        boxes = [super(Annotation, n).get_window_extent() for n in names]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        for line in marks_of(ax):
            at = ax.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))
            assert not any(box.contains(*at) for box in boxes)
        frame = ax.get_window_extent()
        assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 for b in boxes)
        assert all(frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)


@pytest.mark.parametrize("why", ["missing", "some", "two machines"])
def test_without_seconds_of_one_machine_cost_is_passes(summary, costs, why, legible):
    if why == "missing":
        costs["seconds"] = np.nan
    elif why == "some":
        costs.loc[2, "seconds"] = np.nan
    else:
        costs = pd.concat([costs, costs.iloc[:1].assign(device="GPU B", seconds=9.0)])
    figure = cost.draw(summary, costs, HEADING)
    ax = figure.axes[0]
    assert ax.get_xlabel() == "passes a map"
    assert sorted(line.get_xdata()[0] for line in marks_of(ax)) == [0, 0, 2, 50]
    assert ax.get_xscale() == "symlog"  # no pass has no logarithm
    assert "GPU" not in figure.get_suptitle()
    legible(figure)


def test_without_any_cost_or_faithfulness_there_is_no_figure(summary, costs):
    nothing = costs.assign(seconds=np.nan, forward_passes=np.nan)
    assert cost.draw(summary, nothing, HEADING) is None
    assert cost.draw(summary[summary["metric"] == "iou_top@centre_weak"], costs, HEADING) is None


def test_an_explainer_without_a_value_is_left_out(summary, costs):
    gone = summary["explainer"].eq("grad_cam") & summary["metric"].eq("deletion")
    summary.loc[gone, ["mean", "low", "high"]] = np.nan
    axes = cost.draw(summary, costs, HEADING).axes
    assert [len(names_of(ax)) for ax in axes] == [3, 4, 4]


def test_controls_alone_have_no_front(summary, costs, legible):
    figure = cost.draw(summary[summary["control"]], costs, HEADING)
    assert {len(line.get_xdata()) for line in figure.axes[0].lines} <= {0, 1, 2}
    legible(figure)


def crowd(summary, costs, count):
    """Return both tables with so many explainers more, all worse and dearer than those there."""
    some = summary[summary["explainer"] == "grad_cam"]
    worst = some["mean"].where(some["higher_is_better"], -some["mean"])
    more = [
        some.assign(
            explainer=f"extra_{at:02}",
            mean=(worst - 1e-3 * (at + 1)) * np.where(some["higher_is_better"], 1, -1),
        )
        for at in range(count)
    ]
    prices = [
        costs[costs["explainer"] == "grad_cam"].assign(
            explainer=f"extra_{at:02}", seconds=0.02 + 0.001 * at
        )
        for at in range(count)
    ]
    every = pd.concat([summary, *more])
    return every.assign(low=every["mean"] - 0.01, high=every["mean"] + 0.01), pd.concat(
        [costs, *prices]
    )


@pytest.mark.parametrize("more", [12, 13])
def test_of_many_explainers_only_the_front_and_controls_have_names(summary, costs, more, legible):
    figure = cost.draw(*crowd(summary, costs, more), HEADING)
    legible(figure)
    for ax in figure.axes[:3]:  # the fourth place of the grid is empty
        names = {n.get_text().replace("\n", "") for n in names_of(ax)}
        rows = summary.loc[summary["metric"] == ax.get_ylabel()[:-2]]
        own = {name: SECONDS[name] for name in rows["explainer"]}
        assert len(marks_of(ax)) == len(SECONDS) + more  # every one has its point
        if more == 12:  # 16 explainers
            assert len(names) == len(SECONDS) + more
            continue
        assert {"random", "center_prior", "grad_cam"} <= names <= set(own)
        upright = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
        intervals = [ends for ends in upright if ends[0] == ends[1]]
        assert len(intervals) == len(names)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("not on the front" in legend) == (more == 13)


@pytest.mark.parametrize(
    ("cheapest", "some"), [(1e-4, {"10⁻⁴", "10⁻²", "10⁰"}), (0.0, {"0", "10⁰", "10¹"})]
)
def test_ticks_are_powers_of_ten_in_plain_text(summary, costs, cheapest, some):
    dearest = 0.3 if cheapest else 90.0
    changed = costs.assign(seconds=[2e-4 if cheapest else 3.0, cheapest, dearest, 0.01])
    figure = cost.draw(summary, changed, HEADING)
    with style():
        figure.draw_without_rendering()
    labels = {label.get_text() for label in figure.axes[0].get_xticklabels()}
    assert some <= labels
    assert not any(sign in label for label in labels for sign in "$\\{")
