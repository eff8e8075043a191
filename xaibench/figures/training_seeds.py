"""Several trainings of one model: do explainers keep their means, and their places?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import SMALL, grid, style, swatch, titled, wrapped
from xaibench.figures.looks import Look, looks_in
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.names import arrow, control_of
from xaibench.store.schema import SEED

ACROSS = 3
EACH = 2.1  # inches a panel


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``training_seeds`` where the run holds models of at least two."""
    if choice.scored(run) and run.analysis.seeds[SEED].nunique() > 1:
        yield "training_seeds", draw(run.analysis.seeds, run.summary, choice.heading(run))


@style()
def draw(seeds: pd.DataFrame, summary: pd.DataFrame, heading: str) -> Figure:
    """Return a panel for each metric: each explainer's mean under every seed, connected.

    Lines that cross are explainers that change places. Behind the seeds stands the mean over all
    of them.

    Args:
        seeds: what ``seeds.by_seed`` returns, of one data set and model.
        summary: what ``summarise`` returns, of the same.
        heading: data set, model and split.
    """
    metrics = list(summary["metric"].unique())
    chances = {control_of(metric) for metric in metrics}
    metrics = [metric for metric in metrics if metric not in chances]
    seen = looks_in(summary)
    figure, axes = grid(len(metrics), min(ACROSS, len(metrics)), EACH, 1.2)
    for ax, metric in zip(axes, metrics, strict=True):
        rows = summary[summary["metric"] == metric].set_index("explainer")
        name = wrapped(f"{metric}{arrow(rows['higher_is_better'].iloc[0])}", 30)
        ax.set_title(name, fontsize=SMALL + 0.5)
        wide = seeds[seeds["metric"] == metric].pivot(
            index=SEED, columns="explainer", values="mean"
        )
        _panel(ax, wide, rows["mean"], seen)
    entries = {
        look.name: swatch(color=look.colour, ls=look.line, marker=look.marker, ms=4)
        for look in seen.values()
    }
    told = "means of each trained model, and over all (hollow)"
    return titled(figure, f"{heading}: {told}", entries)


def _panel(ax: Axes, wide: pd.DataFrame, means: pd.Series, seen: dict[str, Look]) -> None:
    places, over_all = np.arange(len(wide)), len(wide) - 0.25
    for explainer, look in seen.items():
        if explainer in wide:
            drawn = {"color": look.colour, "marker": look.marker, "ms": 3.5}
            ax.plot(places, wide[explainer], ls=look.line, lw=1.0, **drawn)
            ax.plot(over_all, means[explainer], ls="", **drawn | {"mfc": "white"})
    ax.axvline(len(wide) - 0.625, color="0.6", lw=0.6)
    ax.set_xticks([*places, over_all], [*(f"{seed:g}" for seed in wide.index), "mean"])
    ax.set_xlim(-0.25, len(wide))
    ax.set_xlabel("training seed")
    ax.grid(False, axis="x")
