"""The leaderboard as dots and intervals: explainers down, one facet a metric."""

from __future__ import annotations

import numpy as np
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
from xaibench.tables import RANDOM, arrow, how_many, is_weak, true_name

ACROSS = 4  # facets side by side


def draw(summary: pd.DataFrame) -> Figure:
    """Return a dot (mean) and a line (interval) for each explainer and metric.

    Args:
        summary: what ``leaderboard.summarise`` returns, of one data set and model.

    A filled dot beats ``random`` after Holm's correction, a hollow one does not (or was not
    tested); the dashed line is the mean of ``random``. A dot over fewer images than the metric is
    defined on has its n beside it.
    """
    first = summary.iloc[0]
    by_role = summary.drop_duplicates("explainer").sort_values("control", kind="stable")
    explainers = list(by_role["explainer"])
    controls = list(by_role.loc[by_role["control"], "explainer"])
    seen = looks(explainers, controls)
    metrics = list(summary["metric"].unique())
    across = min(ACROSS, len(metrics))
    down = -(-len(metrics) // across)
    with style():
        height = (0.17 * len(explainers) + 0.85) * down + 0.75
        figure = blank(PAGE if across > 1 else COLUMN, height)
        axes = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        unused(axes[len(metrics) :])
        for ax, metric in zip(axes, metrics, strict=False):
            rows = summary[summary["metric"] == metric].set_index("explainer")
            _facet(ax, rows.reindex(explainers), seen, metric)
        axes[0].set_yticks(
            range(len(explainers)), [f"{e}{' (control)' * (e in controls)}" for e in explainers]
        )
        axes[0].set_ylim(len(explainers) - 0.5, -0.5)
        _key(figure, float(first["confidence"]), RANDOM in explainers)
        title(
            figure,
            f"{true_name(first['dataset'])}, {first['model']}, split {first['split']}: "
            f"{how_many(first)}",
        )
    return figure


def telling(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without the facets that say nothing.

    A mask of the lungs holds no evidence of a finding, so hitting it with one pixel or covering
    it says nothing; how much relevance lies on it does. The tables keep them all.
    """
    name, mask = summary["metric"].str.partition("@")[[0, 2]].to_numpy().T
    dull = np.isin(name, ("pointing_game", "iou_top")) & pd.Series(mask).str.startswith("lungs")
    return summary[~dull.to_numpy()]


def _facet(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look], metric: str) -> None:
    higher = rows["higher_is_better"].dropna()
    name, at, mask = metric.partition("@")
    direction = arrow(higher.iloc[0]) if len(higher) else ""
    below = f"\n{at}{mask}" + "\n(weak mask)" * is_weak(metric) if mask else ""
    ax.set_title(f"{name}{direction}{below}", fontsize=SMALL + 0.5)
    ax.grid(False, axis="y")
    if RANDOM in rows.index and pd.notna(rows.loc[RANDOM, "mean"]):
        ax.axvline(rows.loc[RANDOM, "mean"], color="0.5", ls="--", lw=0.8, zorder=1)
    for place, (explainer, row) in enumerate(rows.iterrows()):
        if pd.isna(row["mean"]):
            _missing(ax, place)
        else:
            _dot(ax, place, row, seen[explainer])
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    for place, (_, row) in enumerate(rows.iterrows()):
        if 0 < row["n"] < row["rows"] - row["undefined"]:
            _tell_n(ax, place, row)


def _dot(ax: Axes, place: int, row: pd.Series, look: Look) -> None:
    if pd.notna(row["low"]):
        ax.plot([row["low"], row["high"]], [place, place], color=look.colour, lw=1.4)
    beats = pd.notna(row["beats_random"]) and bool(row["beats_random"])
    face = look.colour if beats else "white"
    ax.plot(row["mean"], place, look.marker, color=look.colour, mfc=face, ms=4.5)


def _tell_n(ax: Axes, place: int, row: pd.Series) -> None:
    """Write n on the side of the facet where the dot is not."""
    left = row["mean"] > sum(ax.get_xlim()) / 2
    ax.text(
        0.04 if left else 0.96,
        place,
        f"n={int(row['n'])}/{int(row['rows'] - row['undefined'])}",
        transform=ax.get_yaxis_transform(),
        ha="left" if left else "right",
        va="center",
        fontsize=SMALL,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def _missing(ax: Axes, place: int) -> None:
    ax.text(
        0.5, place, "– no value", transform=ax.get_yaxis_transform(), ha="center", va="center",
        fontsize=SMALL,
    )  # fmt: skip


def _key(figure: Figure, confidence: float, has_random: bool) -> None:
    dot = {"color": "0.2", "marker": "o", "ms": 4.5}
    handles = [Line2D([], [], **dot, lw=1.4), Line2D([], [], **dot, mfc="white", lw=1.4)]
    names = [
        f"mean and {confidence:.0%} interval; better than random (Holm)",
        "not better, or not tested",
    ]
    if has_random:
        handles.append(Line2D([], [], color="0.5", ls="--", lw=0.8))
        names.append("mean of random")
    legend_below(figure, handles, names)
