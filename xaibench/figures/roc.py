"""ROC curves in a grid, one panel a label, each with Youden's point."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import BOX, COLUMN, PAGE, SMALL, grid, style, swatch, titled, write
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.roc import Label, curve, labels_of
from xaibench.leaderboards.thresholds import mean_auroc
from xaibench.store.training_seeds import of_first

ACROSS = 4
CURVE = {"color": "#0173B2"}
POINT = {"color": "#DE8F05", "mec": "black", "mew": 0.5}
CHANCE = {"color": "0.6", "ls": "--", "lw": 0.8}


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``roc`` where the run holds thresholds and predictions; of the first training seed."""
    rows = run.csv("thresholds.csv")
    if rows is not None and run.predictions is not None:
        yield "roc", draw(labels_of(run.predictions), of_first(rows), choice.heading_of_first(run))


@style()
def draw(labels: Sequence[Label], rows: pd.DataFrame, heading: str) -> Figure:
    """Return a panel for each label; one without a curve stays empty and says why.

    Args:
        labels: what stands behind each curve.
        rows: what ``thresholds.table`` returns for them.
        heading: data set, model and split.
    """
    of_label = rows.set_index("label")
    across = min(ACROSS, len(labels))
    size = (1.95, 1.0, PAGE) if across > 2 else (COLUMN, 1.4, COLUMN * across)
    figure, axes = grid(len(labels), across, *size, sharex=True, sharey=True)
    for at, (ax, label) in enumerate(zip(axes, labels, strict=True)):
        _panel(ax, label, of_label.loc[label.name])
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        lowest = at + across >= len(labels)
        ax.tick_params(labelbottom=lowest)
        ax.set_xlabel("1 − specificity" if lowest else "")
        ax.set_ylabel("sensitivity" if at % across == 0 else "")
    chosen = f"Youden's point, chosen on {rows['threshold_split'].iloc[0]}"
    entries = {
        "ROC curve; AUROC [95 % interval]": swatch(**CURVE),
        chosen: swatch(**POINT, marker="o", ls=""),
        "chance": swatch(**CHANCE),
    }
    return titled(figure, f"{heading}: {_mean(rows)}", entries)


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
        write(ax, 0.5, 0.5, textwrap.fill(label.reason, 18))
        return
    low, high = row["auroc_low"], row["auroc_high"]
    spread = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
    ax.set_title(f"{label.name}\n{row['auroc']:.3f}{spread}", fontsize=SMALL)
    false, true, _ = curve(label)
    ax.plot([0, 1], [0, 1], **CHANCE)
    ax.plot(false, true, **CURVE)
    ax.plot(1 - row["specificity"], row["sensitivity"], "o", **POINT, ms=5)
    told = [
        f"at ≥ {row['threshold']:.2g}",
        f"sens. {row['sensitivity']:.2f}",
        f"spec. {row['specificity']:.2f}",
        f"{row['positives']} of {row['n']} pos.",
    ]
    box = {**BOX, "alpha": 0.7, "pad": 1.0}
    # In the corner below the diagonal, where no curve worth its name goes.
    write(ax, 0.97, 0.04, "\n".join(told), ha="right", va="bottom", bbox=box)
