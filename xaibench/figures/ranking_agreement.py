"""Do the metrics, and their fills, rank the explainers alike? Do single images?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import PAGE, blank, span, style, titled, write
from xaibench.figures.looks import ink
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.names import how_many
from xaibench.leaderboards.protocols import Protocol
from xaibench.store.schema import KEYS

PAIRS = ("metrics", "fills", "orders")
CELL = (0.36, 0.22)  # inches, across and down: what a number takes
LETTER = 0.068  # inches of a name
COLOURS = "vlag"


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``ranking_agreement`` where a tau of two metrics of the run could be computed."""
    rows = run.csv("agreement.csv")
    if rows is None:
        return
    own = rows[(rows[KEYS] == pd.Series(run.about)[KEYS]).all(axis=1)]
    if own.loc[own["kind"].isin(PAIRS), "tau"].notna().any():
        heading = f"{choice.plain_heading(run)}: {how_many(run.summary.iloc[0])}"
        yield "ranking_agreement", draw(own, labels(run.summary), heading)


def labels(summary: pd.DataFrame) -> dict[str, str]:
    """Return each metric's name, with its fill and order where it has them."""
    found = {}
    for metric, text in summary.drop_duplicates("metric").set_index("metric")["protocol"].items():
        protocol = Protocol.parse(text)
        said = [protocol.parameters[n] for n in ("fill", "order") if n in protocol.parameters]
        found[metric] = f"{metric} ({', '.join(said)})" if said else metric
    return found


@style()
def draw(rows: pd.DataFrame, names: Mapping[str, str], heading: str) -> Figure:
    """Return a heat map of Kendall's tau between metrics, and a column of alpha beside it.

    Args:
        rows: what ``agreement.agreement`` returns, of one data set and model.
        names: what stands for each metric.
        heading: data set, model and split, and how many images.
    """
    images = rows[rows["kind"] == "images"].set_index("metric")
    pairs = rows[rows["kind"].isin(PAIRS)]
    metrics = list(images.index)
    square = pd.DataFrame(np.eye(len(metrics)), index=metrics, columns=metrics).replace(0, np.nan)
    for _, row in pairs.iterrows():
        square.loc[row["a"], row["b"]] = square.loc[row["b"], row["a"]] = row["tau"]
    told = [f"{names[metric]}  {at}" for at, metric in enumerate(metrics, 1)]
    beside, count = LETTER * max(map(len, told)), len(metrics)
    width = max(PAGE, beside + CELL[0] * (count + 3))
    figure = blank(width, CELL[1] * count + 2.0)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[count, 1.3])
    _heat(left, square.to_numpy())
    _heat(right, images[["alpha"]].to_numpy())
    left.set_yticks(range(count), told)
    left.set_xticks(range(count), [str(at) for at in range(1, count + 1)])
    left.set_xlabel("two metrics: Kendall's τ-b")
    # A tick's label, for which the layout makes room; for a title it does not.
    right.set_xticks([0], ["single images:\nKrippendorff's α"])
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(-1, 1), COLOURS)
    bar = figure.colorbar(
        scale,
        ax=[left, right],
        location="bottom",
        aspect=50,
        shrink=0.7,
        ticks=[-1, -0.5, 0, 0.5, 1],
    )
    bar.ax.set_xticklabels(["−1\nreversed", "−0.5", "0\nunrelated", "0.5", "1\nthe same order"])
    bar.ax.grid(False)
    explainers = span(int(pairs["n"].min()), int(pairs["n"].max()))
    asked = f"do they rank the {explainers} explainers alike? (controls left out)"
    return titled(figure, f"{heading}\n{asked}")


def _heat(ax: Axes, values: np.ndarray) -> None:
    drawn = ax.imshow(values, cmap=COLOURS, vmin=-1, vmax=1, aspect="auto")
    ax.grid(False)
    for (row, column), value in np.ndenumerate(values):
        told = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
        colour = "black" if np.isnan(value) else ink(drawn.cmap(drawn.norm(value)))
        write(ax, column, row, told.replace("-", "−"), color=colour)
