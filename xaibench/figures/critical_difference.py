"""Critical difference diagrams: mean ranks over patients or slides, and what is not told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import PAGE, SMALL, grid, pages, style, titled
from xaibench.figures.looks import Look, looks_in
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.names import arrow
from xaibench.leaderboards.protocols import Protocol
from xaibench.store.schema import KEYS

ALPHA = 0.05
"""A bar joins explainers whose Nemenyi p-values are all at least that."""
LINE = 0.15  # inches of a name or a bar
ABREAST = 4  # diagrams on a page


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``critical_difference`` (and ``critical_difference_2`` where they are many) of the
    metrics that ask the model, where any was tested.
    """
    found = [run.csv("friedman.csv"), run.csv("friedman_pairs.csv")]
    if any(table is None for table in found):
        return
    about = pd.Series(run.about)[KEYS]
    tests, pairs = (table[(table[KEYS] == about).all(axis=1)] for table in found)
    tests = faithful(tests[tests["p"].notna()], run.summary)
    looks = looks_in(run.summary) if len(tests) else {}

    def page(metrics: Sequence[str]) -> Figure:
        own = tests[tests["metric"].isin(metrics)]
        return draw(own, pairs, looks, choice.heading(run))

    yield from pages("critical_difference", list(tests["metric"]), ABREAST, page)


def faithful(tests: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of metrics of faithfulness, with ``higher_is_better``: those whose protocol
    tells which score of the model they ask for.
    """
    firsts = summary.drop_duplicates("metric").set_index("metric")
    asks = [m for m, text in firsts["protocol"].items() if Protocol.parse(text).value("score")]
    higher = tests["metric"].map(firsts["higher_is_better"])
    return tests.assign(higher_is_better=higher)[tests["metric"].isin(asks)]


@style()
def draw(
    tests: pd.DataFrame, pairs: pd.DataFrame, looks: Mapping[str, Look], heading: str
) -> Figure:
    """Return a diagram for each metric: mean ranks on an axis, the best on the left.

    Args:
        tests: a row a metric: metric, p, blocks, left_out, explainers, higher_is_better.
        pairs: metric, a, b, rank_a, rank_b, p: what ``friedman.tables`` returns.
        looks: of each explainer.
        heading: data set, model and split.
    """
    lines = (tests["explainers"].max() + 1) // 2 + 4  # the names of one side, and room for bars
    figure, axes = grid(len(tests), 1, LINE * lines + 0.55, 0.7, width=PAGE)
    for ax, (_, test) in zip(axes, tests.iterrows(), strict=True):
        _diagram(ax, pairs[pairs["metric"] == test["metric"]], looks)
        out = f" ({test['left_out']} incomplete left out)" * (test["left_out"] > 0)
        ax.set_title(
            f"{test['metric']}{arrow(test['higher_is_better'])}: Friedman {_p(test['p'])}, "
            f"{test['blocks']} groups{out}",
            fontsize=SMALL + 0.5,
        )
    told = f"mean rank over groups, 1 is best; under one bar: not told apart (Nemenyi, {ALPHA:.0%})"
    return titled(figure, f"{heading}\n{told}")


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _diagram(ax: Axes, pairs: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    sides = [pairs[["a", "rank_a"]], pairs[["b", "rank_b"]]]
    sides = [side.set_axis(["name", "rank"], axis=1) for side in sides]
    ranks = pd.concat(sides).drop_duplicates("name").set_index("name")["rank"]
    p = pairs.pivot(index="a", columns="b", values="p").reindex(ranks.index, columns=ranks.index)
    p = p.fillna(p.T).fillna(1.0)
    told = {name: looks[name].name for name in ranks.index}
    import scikit_posthocs  # with statsmodels and more, for this figure alone

    drawn = scikit_posthocs.critical_difference_diagram(
        ranks.rename(told),
        p.rename(told, axis=0).rename(told, axis=1),
        alpha=ALPHA,
        ax=ax,
        label_fmt_left="{label}  {rank:.2f}",
        label_fmt_right="{rank:.2f}  {label}",
        label_props={"fontsize": SMALL},
        marker_props={"s": 14},
        elbow_props={"linewidth": 0.9},
        crossbar_props={"color": "0.15", "linewidth": 2.2},
        color_palette={looks[name].name: looks[name].colour for name in ranks.index},
    )
    for bars in drawn["crossbars"]:
        for bar in bars:  # drawn over a set, whose order is another in each process
            bar.set_xdata(sorted(bar.get_xdata()))
    air = 0.012 * np.ptp(ranks)
    for text in drawn["labels"]:
        text.set_color("black")
        text.set_x(text.get_position()[0] + (air if text.get_ha() == "left" else -air))
    ax.grid(False)
