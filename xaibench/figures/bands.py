"""How much relevance lies at the border and on the lungs, by how sure the model is."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.figures.base import (
    COLUMN,
    PAGE,
    SMALL,
    Look,
    blank,
    legend_below,
    looks,
    style,
    title,
    unused,
)
from xaibench.tables import is_weak

ACROSS = 2
SPREAD = 0.7  # of the room between two bands is taken by the explainers of one


def draw(rows: pd.DataFrame, heading: str) -> Figure | None:
    """Return a facet for each metric: bands across, a dot and interval for each explainer.

    Args:
        rows: what ``bands.table`` returns.
        heading: data set, model and split.

    None where no band holds a value. The dashed line is the level of a map that says nothing.
    """
    rows = rows[rows["n"] > 0]
    if rows.empty:
        return None
    explainers = rows.drop_duplicates("explainer").sort_values("control", kind="stable")
    controls = list(explainers.loc[explainers["control"], "explainer"])
    seen = looks(explainers["explainer"], controls)
    metrics = list(rows["metric"].unique())
    across = min(ACROSS, len(metrics))
    down = -(-len(metrics) // across)
    with style():
        figure = blank(PAGE if across > 1 else COLUMN, 2.3 * down + 1.2)
        axes = figure.subplots(down, across, squeeze=False).ravel()
        unused(axes[len(metrics) :])
        for ax, metric in zip(axes, metrics, strict=False):
            _facet(ax, rows[rows["metric"] == metric], seen)
        handles = [_handle(look) for look in seen.values()]
        names = [f"{name}{' (control)' * (name in controls)}" for name in seen]
        if rows["chance"].notna().any():
            handles.append(Line2D([], [], color="black", ls="--", lw=1.0))
            names.append("a map that says nothing")
        legend_below(figure, handles, names)
        percent = f"{rows['confidence'].iloc[0]:.0%}"
        title(figure, f"{heading}\nshare of positive relevance: means and {percent} intervals")
    return figure


def _handle(look: Look) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, ms=4.5, lw=1.4)


def _facet(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look]) -> None:
    bands = list(rows["band"].unique())
    metric = rows["metric"].iloc[0]
    name, at, mask = metric.partition("@")
    ax.set_title(f"{name}{at}{mask}{' (weak mask)' * is_weak(metric)}", fontsize=SMALL + 0.5)
    ax.grid(False, axis="x")
    names, labels = list(seen), []
    for place, band in enumerate(bands):
        part = rows[rows["band"] == band].set_index("explainer")
        for explainer, row in part.iterrows():
            shift = SPREAD * ((names.index(explainer) + 0.5) / len(names) - 0.5)
            look = seen[explainer]
            if pd.notna(row["low"]):
                ax.plot([place + shift] * 2, [row["low"], row["high"]], color=look.colour, lw=1.4)
            ax.plot(place + shift, row["mean"], look.marker, color=look.colour, ms=4)
        if part["chance"].notna().any():
            ends = [place - 0.5 * SPREAD - 0.08, place + 0.5 * SPREAD + 0.08]
            ax.plot(ends, [part["chance"].mean()] * 2, color="black", ls="--", lw=1.0)
        few, most = part["n"].min(), part["n"].max()
        labels.append(f"{band}\nn={most}" if few == most else f"{band}\nn={few} to {most}")
    ax.set_xticks(range(len(bands)), labels)
    ax.set_xlim(-0.5, len(bands) - 0.5)
    top = rows[["mean", "high", "chance"]].max(axis=None)
    ax.set_ylim(0, max(0.05, 1.06 * top))
    ax.set(xlabel="score of the target", ylabel="share of positive relevance")
