"""The course of training: losses, and what validation said."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.figures.base import COLUMN, blank, style, titled
from xaibench.figures.looks import MARKERS
from xaibench.leaderboards.board import ScoredRun
from xaibench.store.schema import SEED
from xaibench.store.training_seeds import of_first, seeds_of

# monitor -> whether the largest is best
LARGEST = {"accuracy": True, "auroc": True, "loss": False}
NAMES = {"loss": "loss", "accuracy": "accuracy", "auroc": "AUROC", "mae": "mean absolute error"}
PARTS = (("valid", "validation", "-", "o"), ("train", "training", "--", "s"))
_MARKERS = 15  # a line has about so many: more would hide it


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``training`` where the run holds a log of it that is not empty."""
    log = run.csv("training_log.csv")
    if log is not None and not log.empty:
        monitor = run.manifest.get("training", {}).get("monitor", "accuracy")
        yield "training", draw(log, run.dataset, monitor)


@style()
def draw(log: pd.DataFrame, dataset: str, monitor: str = "accuracy") -> Figure:
    """Return losses (above) and other figures (below) against the step.

    Validation is drawn solid, training dashed; a star and a dotted line mark the best row. Where
    each label has a model of its own, or each training seed, there is a line for each, of
    validation only, and a star each; of labels and seeds both, the first seed is drawn.

    Args:
        log: one row a validation: ``epoch``, ``step``, and ``train_`` and ``valid_`` ``loss``,
            ``accuracy``, ``auroc``, ``mae``; an empty or absent column is left out.
            ``training_seed`` if it is known, and ``label`` where each label has a model of its own.
        monitor: what chose the checkpoint (``accuracy``, ``auroc`` or ``loss``).
    """
    figure = blank(COLUMN, 4.4)
    axes = figure.subplots(2, 1, sharex=True)
    told = _lines(axes, log, monitor)
    axes[1].set_xlabel("step")
    if log["step"].nunique() == 1:
        axes[1].set_xticks(log["step"].unique())
    entries = {}
    for ax in axes:
        entries |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    return titled(figure, f"{dataset}: training{told}", entries)


def _lines(axes: list[Axes], log: pd.DataFrame, monitor: str) -> str:
    """Draw the models' lines; return what the title says of them."""
    seeds = seeds_of(log)
    if "label" in log:
        first = f", training seed {seeds[0]}" if len(seeds) > 1 else ""
        return f"{first}, one model a label{_by_model(axes, of_first(log), 'label', '', monitor)}"
    if len(seeds) > 1:
        best = _by_model(axes, log, SEED, "training seed ", monitor)
        return f", one model a training seed{best}"
    return _of_one(axes, log, monitor)


def best_row(log: pd.DataFrame, monitor: str) -> pd.Series | None:
    """Return the row whose weights were kept, the first of equals; None without that figure."""
    column = f"valid_{monitor}"
    if column not in log or log[column].isna().all():
        return None
    values = log[column]
    return log.loc[values.idxmax() if LARGEST[monitor] else values.idxmin()]


def _of_one(axes: list[Axes], log: pd.DataFrame, monitor: str) -> str:
    """Draw one model's lines; return what the title says of its best row."""
    best = best_row(log, monitor)
    palette = iter(sns.color_palette("colorblind"))
    for ax, names in zip(axes, (["loss"], ["accuracy", "auroc", "mae"]), strict=True):
        shown = [n for n in names if _known(log, f"valid_{n}") or _known(log, f"train_{n}")]
        for name in shown:
            colour = next(palette)
            for part, told, line, marker in PARTS:
                label, column = f"{NAMES[name]}, {told}", f"{part}_{name}"
                if _known(log, column):
                    _line(ax, log, column, color=colour, ls=line, marker=marker, label=label)
        ax.set_ylabel(", ".join(NAMES[name] for name in shown))
        if best is not None:
            ax.axvline(best["step"], color="0.4", ls=":", lw=1.2)
    if best is None:
        return ""
    _star(axes[0 if monitor == "loss" else 1], best, monitor, color="black", label="best")
    return f", best step {best['step']:g} (epoch {best['epoch']:g}) by validation {NAMES[monitor]}"


def _by_model(axes: list[Axes], log: pd.DataFrame, column: str, word: str, monitor: str) -> str:
    """Draw a line for each value of a column: the validation loss of its model, and the other
    figure that is monitored or known; ``word`` goes before the value in the legend.
    """
    others = [monitor, "auroc", "accuracy", "mae"]
    other = next((n for n in others if n != "loss" and _known(log, f"valid_{n}")), None)
    palette = sns.color_palette("colorblind")
    for ax, name in zip(axes, ("loss", other), strict=True):
        if name is None:
            continue
        ax.set_ylabel(f"{NAMES[name]}, validation")
        for at, (value, rows) in enumerate(log.groupby(column, sort=False)):
            colour, marker = palette[at % len(palette)], MARKERS[at % len(MARKERS)]
            _line(ax, rows, f"valid_{name}", color=colour, marker=marker, label=f"{word}{value}")
            best = best_row(rows, monitor)
            if name == monitor and best is not None:
                _star(ax, best, monitor, color=colour)
    return f", best rows by validation {NAMES[monitor]}"


def _known(log: pd.DataFrame, column: str) -> bool:
    return column in log and bool(log[column].notna().any())


def _line(ax: Axes, log: pd.DataFrame, column: str, *, marker: str, **look: object) -> None:
    every = -(-len(log) // _MARKERS)
    ax.plot(log["step"], log[column], marker=marker, markevery=every, ms=3, **look)


def _star(ax: Axes, best: pd.Series, monitor: str, **look: object) -> None:
    ax.plot(best["step"], best[f"valid_{monitor}"], "*", ms=9, mec="white", mew=0.5, **look)
