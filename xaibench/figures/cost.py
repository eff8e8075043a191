"""Faithfulness against cost: what a better map costs, one panel a metric."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from xaibench.figures import choice
from xaibench.figures.base import grid, laid_out, style, swatch, titled
from xaibench.figures.labels import place
from xaibench.figures.looks import Look, looks_in
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.cost import PASSES
from xaibench.leaderboards.names import arrow

FAITHFULNESS = (
    *("deletion", "insertion", "srg", "cumulative_drop", "road", "irof", "aopc", "selectivity"),
    *("saco", "sensitivity_n", "faithfulness_correlation"),
)
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MARK, FAINT = 5.0, 3.0  # points
NAMED = 16  # explainers; of more only the controls and those on the front have their names


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``cost`` where the run holds scores of faithfulness and tells what they cost."""
    figure = draw(run.summary, run.costs, choice.heading(run)) if choice.scored(run) else None
    if figure is not None:
        yield "cost", figure


@style()
def draw(summary: pd.DataFrame, costs: pd.DataFrame, heading: str) -> Figure | None:
    """Return a panel for each metric of faithfulness: mean and interval over the cost of a map.

    Args:
        summary: what ``summarise`` returns, of one data set and model.
        costs: what ``cost.of_runs`` returns, of the same.
        heading: data set, model and split.

    Cost is seconds, or where they are missing or were taken on several kinds of hardware, passes
    (forward and backward). Controls are hollow. The stepped line is the Pareto front of the
    explainers that are no controls: none of them is at once cheaper and better than one on it.
    Where there are more than 16 explainers, those that are neither on it nor controls are small and
    without a name or an interval. None where there is no such metric or no cost.
    """
    faithful = summary["protocol"].str.partition("[")[0].isin(FAITHFULNESS)
    rows = summary[faithful & summary["mean"].notna()]
    x, unit, device = _cost(costs)
    rows = rows.assign(cost=rows["explainer"].map(x)).dropna(subset="cost")
    if rows.empty:
        return None
    seen = looks_in(summary)
    panels = [_told(part) for _, part in rows.groupby("metric", sort=False)]
    crowded = not all(panel["told"].all() for panel in panels)
    across, high = (2, 3.3) if crowded else (3, 2.6)  # room for the names
    figure, axes = grid(len(panels), min(across, len(panels)), high, 0.9)
    for ax, panel in zip(axes, panels, strict=True):
        _panel(ax, panel, seen, unit)
    mark = {"color": "0.2", "marker": "o", "ms": MARK, "lw": 0}
    entries = {f"mean and {rows['confidence'].iloc[0]:.0%} interval": swatch(**mark)}
    if rows["control"].any():
        entries["control"] = swatch(**mark, mfc="white")
    if crowded:
        entries["not on the front"] = swatch(**mark | {"ms": FAINT}, alpha=0.5)
    entries["Pareto front of the explainers"] = swatch(color="0.55", lw=0.9)
    titled(figure, f"{heading}\non {device}" if device else heading, entries)
    laid_out(figure)  # the labels need to know where the points lie
    for ax, panel in zip(axes, panels, strict=True):
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
    dear, good = np.asarray(cost), np.asarray(merit)
    no_worse = (dear <= dear[:, None]) & (good >= good[:, None])
    better = (dear < dear[:, None]) | (good > good[:, None])
    on = np.flatnonzero(~(no_worse & better).any(axis=1))
    return sorted(on.tolist(), key=lambda at: cost[at])


def _told(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a metric's rows by rising cost, with ``told``: whether a name and an interval are."""
    rows = rows.sort_values("cost").reset_index(drop=True)
    on = _on_front(rows).index
    return rows.assign(told=rows["control"] | rows.index.isin(on) | (len(rows) <= NAMED))


def _on_front(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on the Pareto front of those that are no controls, by rising cost."""
    rows = rows[~rows["control"].astype(bool)]
    sign = 1 if len(rows) and rows["higher_is_better"].iloc[0] else -1
    return rows.iloc[front(list(rows["cost"]), list(sign * rows["mean"]))]


class _Powers(LogFormatterSciNotation):
    """Powers of ten as plain text, since the style sets no formulas."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        formula = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")
        plain = formula.replace(r"\times", "×")
        return re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(_RAISED), plain)


def _panel(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look], unit: str) -> None:
    # Nothing costs less than no pass: a logarithmic axis needs a straight piece at zero.
    if (rows["cost"] == 0).any():
        ax.set_xscale("symlog", linthresh=1)
        ax.xaxis.set_major_formatter(_Powers(linthresh=1))
    else:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(_Powers())
        ax.xaxis.set_minor_formatter(_Powers())
    higher = rows["higher_is_better"].iloc[0]
    for _, row in rows.iterrows():
        look = seen[row["explainer"]]
        if not row["told"]:
            ax.plot(row["cost"], row["mean"], look.marker, color=look.colour, ms=FAINT, alpha=0.5)
            continue
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
    on = _on_front(rows)
    ends = [*on["cost"], right]
    return np.column_stack([np.repeat(ends, 2)[1:-1], np.repeat(on["mean"], 2)])


def _label(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look]) -> None:
    points = rows.rename(columns={"explainer": "name", "cost": "x", "mean": "y"})
    points["colour"] = [seen[name].colour for name in points["name"]]
    points["name"] = points["name"].where(points["told"])
    for end in ("low", "high"):
        points[end] = points[end].where(points["told"]).fillna(points["y"])
    place(ax, points, _front(rows, ax.get_xlim()[1]))
