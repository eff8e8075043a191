"""The course of training: losses, and what validation said."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures.base import PAGE, blank, style, title

# monitor -> (column, whether the largest is best)
BEST = {
    "accuracy": ("valid_accuracy", True),
    "auroc": ("valid_auroc", True),
    "loss": ("valid_loss", False),
}
LEFT = {"train_loss": "training", "valid_loss": "validation"}
RIGHT = {"valid_accuracy": "accuracy", "valid_auroc": "AUROC"}


def draw(log: pd.DataFrame, dataset: str, monitor: str = "accuracy") -> Figure | None:
    """Return losses (left) and validation figures (right) over epochs; None for an empty log.

    Args:
        log: one row an epoch: ``epoch``, ``train_loss``, ``valid_loss``, ``valid_accuracy``,
            ``valid_auroc``; an empty column is left out.
        monitor: what chose the checkpoint (``accuracy``, ``auroc`` or ``loss``); its best epoch,
            the first of equals, is marked.
    """
    if log.empty:
        return None
    best = best_epoch(log, monitor)
    with style():
        figure = blank(PAGE, 2.6)
        left, right = figure.subplots(1, 2)
        _lines(left, log, LEFT, "loss", best, first_colour=0)
        _lines(right, log, RIGHT, "validation", best, first_colour=2)
        told = "" if best is None else f", best epoch {best:g} by validation {monitor}"
        title(figure, f"{dataset}: training{told}")
    return figure


def best_epoch(log: pd.DataFrame, monitor: str) -> float | None:
    """Return the epoch whose checkpoint was kept, None if the monitored column is empty."""
    column, largest = BEST[monitor]
    if column not in log or log[column].isna().all():
        return None
    place = log[column].idxmax() if largest else log[column].idxmin()
    return log.loc[place, "epoch"]


def _lines(
    ax: Axes,
    log: pd.DataFrame,
    named: dict[str, str],
    label: str,
    best: float | None,
    first_colour: int,
) -> None:
    palette = sns.color_palette("colorblind")
    for at, (column, name) in enumerate(named.items()):
        if column in log and log[column].notna().any():
            colour = palette[first_colour + at]
            ax.plot(log["epoch"], log[column], "os"[at] + "-", color=colour, ms=3, label=name)
    if best is not None:
        ax.axvline(best, color="0.4", ls=":", lw=1.2, label="best epoch")
    ax.set(xlabel="epoch", ylabel=label)
    ax.xaxis.get_major_locator().set_params(integer=True)
    if len(log) == 1:
        ax.set_xticks(log["epoch"])
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
