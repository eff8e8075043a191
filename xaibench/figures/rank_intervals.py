"""The ranks that each explainer may truly have: one panel a metric, the best on top."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import (
    COLUMN,
    PAGE,
    SMALL,
    blank,
    grid,
    pages,
    style,
    swatch,
    titled,
    write,
)
from xaibench.figures.looks import Look, head, looks_in
from xaibench.figures.ranking import telling
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.names import how_many

ACROSS = 2
ABREAST = 6  # panels on a page
EACH = 0.17  # inches an explainer
LETTERS = 30  # of a title's line


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``rank_intervals`` (and ``rank_intervals_2`` where they are many) of the metrics that
    rank explainers, but for those that ``ranking`` leaves out; a sentence in place of all of them
    where no two explainers were compared.
    """
    if not choice.scored(run):
        return
    ranked = telling(run.summary[run.summary["rank"].notna()])
    reasons = run.analysis.pairs.groupby("metric", sort=False)["reason"].first()
    metrics = list(ranked["metric"].unique())

    def page(names: Sequence[str]) -> Figure:
        own = ranked[ranked["metric"].isin(names)]
        return draw(own, reasons, looks_in(run.summary), choice.plain_heading(run))

    if ranked["rank_low"].notna().any():
        yield from pages("rank_intervals", metrics, ABREAST, page)
    elif metrics:
        yield "rank_intervals", nothing(_why(reasons, metrics[0]), choice.heading(run))


@style()
def nothing(why: str, heading: str) -> Figure:
    """Return a figure that says why there is none."""
    figure = blank(COLUMN, 1.1)
    ax = figure.subplots()
    ax.set_axis_off()
    write(ax, 0.5, 0.5, f"no intervals of ranks:\n{textwrap.fill(why, 48)}")
    return titled(figure, heading)


@style()
def draw(
    ranked: pd.DataFrame, reasons: pd.Series, looks: Mapping[str, Look], heading: str
) -> Figure:
    """Return a dot (rank) and a line (the ranks it may have) for each explainer and metric.

    Controls are grey and hollow. Where no two explainers were compared under a metric, a sentence
    says why, in place of ranks that could be taken for more than chance.

    Args:
        ranked: rows with a rank of what ``summarise`` returns, of one data set and model.
        reasons: by metric, why a comparison was not made.
        looks: of each explainer.
        heading: data set, model and split.
    """
    first = ranked.iloc[0]
    parts = ranked.groupby("metric", sort=False)
    each = EACH * parts.size().max() + 0.75
    figure, axes = grid(len(parts), min(ACROSS, len(parts)), each, 0.8, width=PAGE)
    for ax, (metric, rows) in zip(axes, parts, strict=True):
        told = head(metric, rows["higher_is_better"].iloc[0], LETTERS)
        ax.set_title(told, fontsize=SMALL + 0.5)
        if rows["rank_low"].isna().all():
            ax.set_axis_off()
            told = textwrap.fill(_why(reasons, metric), 32)
            write(ax, 0.5, 0.5, told, transform=ax.transAxes)
        else:
            _panel(ax, rows.sort_values("rank", kind="stable"), looks)
    sure = f"{first['confidence']:.0%}, all lines together"
    look = {"marker": "o", "ms": 4.5, "lw": 1.6}
    entries = {f"rank, and the ranks that it may truly have ({sure})": swatch(color="0.2", **look)}
    if ranked["control"].any():
        entries["control"] = swatch(color="0.6", mfc="white", **look)
    return titled(figure, f"{heading}: {how_many(first)}", entries)


def _why(reasons: pd.Series, metric: str) -> str:
    told = reasons.get(metric)
    return "not tested" if pd.isna(told) else str(told)


def _panel(ax: Axes, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    for place, (_, row) in enumerate(rows.iterrows()):
        colour = looks[row["explainer"]].colour
        ends = [float(row["rank_low"]), float(row["rank_high"])]
        ax.plot(ends, [place, place], color=colour, lw=1.6, solid_capstyle="butt")
        face = "white" if row["control"] else colour
        ax.plot(row["rank"], place, "o", color=colour, mfc=face, ms=4.5)
    ax.set_yticks(range(len(rows)), list(rows["explainer"]))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(0.5, len(rows) + 0.5)
    step = -(-len(rows) // 12)  # a number for each rank, as long as they fit
    ax.set_xticks(np.arange(1, len(rows) + 1, step))
    ax.grid(False, axis="y")
