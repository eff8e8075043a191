"""How much relevance lies at the border and on the lungs, by how sure the model is."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import SMALL, grid, span, style, swatch, titled
from xaibench.figures.looks import Look, looks_in
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.names import weakly

ACROSS = 2
SPREAD = 0.7  # of the room between two bands is taken by the explainers of one
CHANCE = {"color": "black", "ls": "--", "lw": 1.0}


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``bands`` where a band of the run holds a value."""
    rows = run.csv("bands.csv")
    if rows is not None and rows["n"].any():
        yield "bands", draw(rows[rows["n"] > 0], choice.heading(run))


@style()
def draw(rows: pd.DataFrame, heading: str) -> Figure:
    """Return a facet for each metric: bands across, a dot and interval for each explainer.

    Args:
        rows: those of ``bands.table`` that hold a value.
        heading: data set, model and split.

    The dashed line is the level of a map that says nothing.
    """
    seen = looks_in(rows)
    parts = rows.groupby("metric", sort=False)
    figure, axes = grid(len(parts), min(ACROSS, len(parts)), 2.3, 1.2)
    for ax, (metric, part) in zip(axes, parts, strict=True):
        ax.set_title(f"{metric}{weakly(metric)}", fontsize=SMALL + 0.5)
        _facet(ax, part, seen)
    entries = {
        look.name: swatch(color=look.colour, marker=look.marker, ms=4.5, lw=1.4)
        for look in seen.values()
    }
    if rows["chance"].notna().any():
        entries["a map that says nothing"] = swatch(**CHANCE)
    told = f"means and {rows['confidence'].iloc[0]:.0%} intervals"
    return titled(figure, f"{heading}\nshare of positive relevance: {told}", entries)


def _facet(ax: Axes, rows: pd.DataFrame, seen: dict[str, Look]) -> None:
    ax.grid(False, axis="x")
    labels, names = [], list(seen)
    for place, (band, part) in enumerate(rows.groupby("band", sort=False)):
        for explainer, row in part.set_index("explainer").iterrows():
            at = place + SPREAD * ((names.index(explainer) + 0.5) / len(names) - 0.5)
            look = seen[explainer]
            if pd.notna(row["low"]):
                ax.plot([at, at], [row["low"], row["high"]], color=look.colour, lw=1.4)
            ax.plot(at, row["mean"], look.marker, color=look.colour, ms=4)
        if part["chance"].notna().any():
            ends = [place - 0.5 * SPREAD - 0.08, place + 0.5 * SPREAD + 0.08]
            ax.plot(ends, [part["chance"].mean()] * 2, **CHANCE)
        labels.append(f"{band}\nn={span(part['n'].min(), part['n'].max())}")
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.5, len(labels) - 0.5)
    top = rows[["mean", "high", "chance"]].max(axis=None)
    ax.set_ylim(0, max(0.05, 1.06 * top))
    ax.set(xlabel="score of the target", ylabel="share of positive relevance")
