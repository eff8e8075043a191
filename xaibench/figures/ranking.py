"""The leaderboard as dots and intervals: explainers down, one facet a metric."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import BOX, SMALL, grid, style, swatch, titled, write
from xaibench.figures.looks import Look, looks_in
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.names import RANDOM, arrow, control_of, how_many, is_weak

ACROSS = 4  # facets side by side


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``ranking`` where the run holds an explainer's scores that say something."""
    rows = telling(run.summary) if choice.scored(run) else []
    if len(rows):
        yield "ranking", draw(rows, choice.plain_heading(run))


@style()
def draw(summary: pd.DataFrame, heading: str) -> Figure:
    """Return a dot (mean) and a line (interval) for each explainer and metric.

    Args:
        summary: what ``summarise`` returns, of one data set and model.
        heading: data set, model and split.

    A filled dot beats ``random`` beyond chance, a hollow one does not (or was not
    tested); the dashed line is the mean of ``random``. A dot over fewer images than the metric is
    defined on has its n beside it.
    """
    seen = looks_in(summary)
    parts = summary.groupby("metric", sort=False)
    across, each = min(ACROSS, len(parts)), 0.17 * len(seen) + 0.85
    figure, axes = grid(len(parts), across, each, 0.75, sharey=True)
    for ax, (metric, rows) in zip(axes, parts, strict=True):
        _facet(ax, rows.set_index("explainer").reindex(list(seen)), seen, metric)
    axes[0].set_yticks(range(len(seen)), [look.name for look in seen.values()])
    axes[0].set_ylim(len(seen) - 0.5, -0.5)
    first = summary.iloc[0]
    dot = {"color": "0.2", "marker": "o", "ms": 4.5, "lw": 1.4}
    entries = {
        f"mean and {first['confidence']:.0%} interval; better than random": swatch(**dot),
        "not better, or not tested": swatch(**dot, mfc="white"),
    }
    if RANDOM in seen:
        entries["mean of random"] = swatch(color="0.5", ls="--", lw=0.8)
    return titled(figure, f"{heading}: {how_many(first)}", entries)


def telling(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without the facets that say nothing.

    A mask of the lungs holds no evidence of a finding, so hitting it with one pixel or covering
    it says nothing; how much relevance lies on it does. What unlike maps score beside a likeness
    is no ranking. The tables keep them all.
    """
    if summary.empty:  # such as where nothing ranks: one control alone, or no value
        return summary
    name, mask = summary["metric"].str.partition("@")[[0, 2]].to_numpy().T
    dull = np.isin(name, ("pointing_game", "iou_top")) & pd.Series(mask).str.startswith("lungs")
    chances = {control_of(metric) for metric in summary["metric"].unique()}
    return summary[~(dull.to_numpy() | summary["metric"].isin(chances).to_numpy())]


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
            write(ax, 0.5, place, "– no value", transform=ax.get_yaxis_transform())
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
    at, side = (0.04, "left") if left else (0.96, "right")
    told = f"n={int(row['n'])}/{int(row['rows'] - row['undefined'])}"
    look = {"ha": side, "bbox": {**BOX, "pad": 0.5}}
    write(ax, at, place, told, transform=ax.get_yaxis_transform(), **look)
