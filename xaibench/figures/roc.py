"""ROC curves in a grid, one panel a label, each with Youden's point."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.figures.base import COLUMN, PAGE, SMALL, blank, legend_below, style, title, unused
from xaibench.roc import Label, curve
from xaibench.thresholds import mean_auroc

ACROSS = 4
CURVE = "#0173B2"
POINT = "#DE8F05"


def draw(labels: Sequence[Label], rows: pd.DataFrame, heading: str) -> Figure:
    """Return a panel for each label; one without a curve stays empty and says why.

    Args:
        labels: what stands behind each curve.
        rows: what ``thresholds.table`` returns for them.
        heading: data set, model and split.
    """
    of_label = rows.set_index("label")
    across = min(ACROSS, len(labels))
    down = -(-len(labels) // across)
    with style():
        width = PAGE if across > 2 else COLUMN * across
        figure = blank(width, 1.95 * down + 1.0 if across > 2 else COLUMN * down + 1.4)
        axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
        unused(axes[len(labels) :])
        for ax, label in zip(axes, labels, strict=False):
            _panel(ax, label, of_label.loc[label.name])
            ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        for at, ax in enumerate(axes[: len(labels)]):
            lowest = at + across >= len(labels)
            ax.tick_params(labelbottom=lowest)
            ax.set_xlabel("1 − specificity" if lowest else "")
            ax.set_ylabel("sensitivity" if at % across == 0 else "")
        _key(figure, rows["threshold_split"].iloc[0])
        title(figure, f"{heading}: {_mean(rows)}")
    return figure


def _mean(rows: pd.DataFrame) -> str:
    mean, count = mean_auroc(rows)
    if len(rows) == 1:
        return "ROC curve"
    if not count:
        return "no label has a ROC curve"
    return f"mean AUROC {mean:.3f} over {count} of {len(rows)} labels"


def _panel(ax: Axes, label: Label, row: pd.Series) -> None:
    if label.reason is not None:
        ax.set_title(f"{label.name}\nno ROC curve", fontsize=SMALL)
        ax.grid(False)
        ax.text(0.5, 0.5, textwrap.fill(label.reason, 18), ha="center", va="center", fontsize=SMALL)
        return
    spread = (
        "" if pd.isna(row["auroc_low"]) else f" [{row['auroc_low']:.2f}, {row['auroc_high']:.2f}]"
    )
    ax.set_title(f"{label.name}\n{row['auroc']:.3f}{spread}", fontsize=SMALL)
    false, true, _ = curve(label)
    ax.plot([0, 1], [0, 1], color="0.6", ls="--", lw=0.8)
    ax.plot(false, true, color=CURVE)
    at = (1 - row["specificity"], row["sensitivity"])
    ax.plot(*at, "o", color=POINT, mec="black", mew=0.5, ms=5)
    told = [
        f"at ≥ {row['threshold']:.2g}",
        f"sens. {row['sensitivity']:.2f}",
        f"spec. {row['specificity']:.2f}",
        f"{row['positives']} of {row['n']} pos.",
    ]
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0}
    # In the corner below the diagonal, where no curve worth its name goes.
    ax.text(0.97, 0.04, "\n".join(told), ha="right", va="bottom", fontsize=SMALL, bbox=box)


def _key(figure: Figure, split: str) -> None:
    handles = [
        Line2D([], [], color=CURVE),
        Line2D([], [], color=POINT, marker="o", mec="black", mew=0.5, ls=""),
        Line2D([], [], color="0.6", ls="--", lw=0.8),
    ]
    names = ["ROC curve; AUROC [95 % interval]", f"Youden's point, chosen on {split}", "chance"]
    legend_below(figure, handles, names)
