"""Faithfulness against cost: what a better map costs, one panel a metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.cost import PASSES
from xaibench.figures.base import (
    COLUMN,
    PAGE,
    Look,
    blank,
    legend_below,
    looks,
    style,
    title,
    unused,
)
from xaibench.figures.labels import Point, place
from xaibench.tables import arrow, true_name

FAITHFULNESS = ("deletion", "insertion", "cumulative_drop")
ACROSS = 3
MARK = 5.0  # points


def draw(summary: pd.DataFrame, costs: pd.DataFrame) -> Figure | None:
    """Return a panel for each metric of faithfulness: mean and interval over the cost of a map.

    Args:
        summary: what ``leaderboard.summarise`` returns, of one data set and model.
        costs: what ``cost.of_runs`` returns, of the same.

    Cost is seconds, or where they are missing or were taken on several kinds of hardware, passes
    (forward and backward). Controls are hollow. The stepped line is the Pareto front of the
    explainers that are no controls: none of them is at once cheaper and better than one on it.
    None where there is no such metric or no cost.
    """
    faithful = summary["protocol"].str.partition("[")[0].isin(FAITHFULNESS)
    rows = summary[faithful & summary["mean"].notna()]
    x, unit, device = _cost(costs)
    rows = rows.assign(cost=rows["explainer"].map(x)).dropna(subset="cost")
    if rows.empty:
        return None
    by_role = summary.drop_duplicates("explainer").sort_values("control", kind="stable")
    seen = looks(by_role["explainer"], by_role.loc[by_role["control"], "explainer"].tolist())
    metrics = list(rows["metric"].unique())
    across = min(ACROSS, len(metrics))
    down = -(-len(metrics) // across)
    with style():
        figure = blank(PAGE if across > 1 else COLUMN, 2.6 * down + 0.9)
        axes = figure.subplots(down, across, squeeze=False).ravel()
        unused(axes[len(metrics) :])
        panels = [rows[rows["metric"] == metric].sort_values("cost") for metric in metrics]
        for ax, panel in zip(axes, panels, strict=False):
            _panel(ax, panel, seen, unit)
        _key(figure, float(rows["confidence"].iloc[0]), bool(rows["control"].any()))
        first = rows.iloc[0]
        where = f"\non {device}" if device else ""
        title(
            figure,
            f"{true_name(first['dataset'])}, {first['model']}, split {first['split']}{where}",
        )
        figure.draw_without_rendering()  # the labels need to know where the points lie
        for ax, panel in zip(axes, panels, strict=False):
            _label(ax, panel, seen)
    return figure


def _cost(costs: pd.DataFrame) -> tuple[pd.Series, str, str | None]:
    """Return each explainer's cost, its unit, and the hardware that it depends on."""
    timed = costs.dropna(subset="seconds")
    everyone = set(timed["explainer"]) == set(costs["explainer"])
    if len(timed) and everyone and timed["device"].nunique(dropna=False) == 1:
        device = timed["device"].iloc[0]
        seconds = timed.set_index("explainer")["seconds"]
        return seconds, "seconds a map", device if pd.notna(device) else None
    passes = costs.drop_duplicates("explainer").set_index("explainer")[PASSES]
    return passes.sum(axis=1, skipna=False), "passes a map", None


def front(cost: Sequence[float], merit: Sequence[float]) -> list[int]:
    """Return the places of the Pareto front, by rising cost.

    Args:
        merit: larger is better.

    A place is on it if no other is at most as dear and at least as good, and better in one of both.
    """
    order = sorted(range(len(cost)), key=lambda at: (cost[at], -merit[at]))
    found: list[int] = []
    for at in order:
        if not found or merit[at] > merit[found[-1]]:
            found.append(at)
        elif (cost[at], merit[at]) == (cost[found[-1]], merit[found[-1]]):
            found.append(at)  # neither of two equals is better
    return found


def _panel(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look], unit: str) -> None:
    # Nothing costs less than no pass: a logarithmic axis needs a straight piece at zero.
    ax.set_xscale("symlog", linthresh=1) if (rows["cost"] == 0).any() else ax.set_xscale("log")
    higher = rows["higher_is_better"].iloc[0]
    for _, row in rows.iterrows():
        look = seen[row["explainer"]]
        if pd.notna(row["low"]):
            ax.plot([row["cost"]] * 2, [row["low"], row["high"]], color=look.colour, lw=1.0)
        face = "white" if row["control"] else look.colour
        ax.plot(row["cost"], row["mean"], look.marker, color=look.colour, mfc=face, ms=MARK)
    ax.set_ylabel(f"{rows['metric'].iloc[0]}{arrow(higher)}")
    ax.set_xlabel(unit)
    ax.margins(x=0.16, y=0.14)
    left, right = ax.get_xlim()
    ax.plot(*_front(rows, right).T, color="0.55", lw=0.9, zorder=1)
    ax.set_xlim(left, right)


def _front(rows: pd.DataFrame, right: float) -> np.ndarray:
    """Return the corners (V, 2) of the front's steps, up to the right edge.

    Who pays more may always take what is cheaper, so a step is level until the next explainer.
    """
    rows = rows[~rows["control"]]
    sign = 1 if len(rows) and rows["higher_is_better"].iloc[0] else -1
    on = rows.iloc[front(list(rows["cost"]), list(sign * rows["mean"]))]
    x, y = [*on["cost"], right][: 1 + len(on)], list(on["mean"])
    steps = [((a, m), (b, m)) for a, b, m in zip(x[:-1], x[1:], y, strict=True)]
    return np.array([corner for step in steps for corner in step]).reshape(-1, 2)


def _label(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look]) -> None:
    ends = rows[["low", "high"]].apply(lambda column: column.fillna(rows["mean"]))
    points = [
        Point(row["explainer"], row["cost"], row["mean"], low, high, seen[row["explainer"]].colour)
        for (_, row), low, high in zip(rows.iterrows(), ends["low"], ends["high"], strict=True)
    ]
    place(ax, points, _front(rows, ax.get_xlim()[1]))


def _key(figure: Figure, confidence: float, has_controls: bool) -> None:
    mark = {"color": "0.2", "marker": "o", "ms": MARK}
    handles = [Line2D([], [], **mark, lw=0), Line2D([], [], color="0.55", lw=0.9)]
    names = [
        f"mean and {confidence:.0%} interval",
        "Pareto front of the explainers",
    ]
    if has_controls:
        handles.insert(1, Line2D([], [], **mark, mfc="white", lw=0))
        names.insert(1, "control")
    legend_below(figure, handles, names)
