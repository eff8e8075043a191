"""The figure of a machine's rows: how far ours and every peer are from bare passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.ticker import NullLocator, StrMethodFormatter

from benchmarks.contest import OURS
from xaibench.figures.base import grid, swatch

_PACKAGES = (OURS, "captum", "lime", "grad-cam", "torchcam", "Quantus", "loop")
_MARKERS = dict(zip(_PACKAGES, "osDv^PX", strict=True))
_AT_MOST = 1.15  # what ours is held to
_ACROSS = 3  # panels


def draw(record: Mapping, path: Path) -> Path | None:
    """Draw the fp32 rows of a record as a PNG: methods by time ÷ limit, a panel a size.

    Returns:
        The path; None where the record has no row that was measured.
    """
    rows = pd.DataFrame(
        [
            {
                "size": row["size"],
                "method": row["method"].replace("_", " "),
                "of": package(row["implementation"]),
                "ratio": row["times_limit"],
            }
            for row in record["rows"]
            if row["times_limit"] and not row["implementation"].endswith("bf16")
        ]
    )
    if rows.empty:
        return None
    sizes, methods = rows["size"].unique(), list(rows["method"].unique())
    colors = dict(zip(_PACKAGES, sns.color_palette("colorblind", len(_PACKAGES)), strict=True))
    across, each = min(_ACROSS, len(sizes)), 0.5 + 0.26 * len(methods)
    with sns.axes_style("whitegrid"):
        figure, panels = grid(len(sizes), across, each, 1.0, 1.8 + 2.7 * across, sharey=True)
    for axes, size in zip(panels, sizes, strict=True):
        own = rows[rows["size"] == size]
        for name in _PACKAGES:
            part = own[own["of"] == name]
            axes.scatter(
                part["ratio"],
                [methods.index(m) for m in part["method"]],
                s=46 if name == OURS else 30,
                color=colors[name],
                marker=_MARKERS[name],
                zorder=4 if name == OURS else 3,
                linewidths=0,
            )
        axes.axvspan(1e-3, _AT_MOST, color="0.93", zorder=0)
        axes.axvline(1, color="0.3", lw=1)
        most = 1.3 * own["ratio"].max()
        axes.set(xscale="log", xlim=(min(0.6, own["ratio"].min() * 0.9), most))
        axes.set_title(size, fontsize=9)
        axes.set_xticks([t for t in (0.5, 1, 2, 5, 10, 20) if axes.get_xlim()[0] < t < most])
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    present = [n for n in _PACKAGES if (rows["of"] == n).any()]
    handles = [
        swatch(color=colors[n], marker=_MARKERS[n], linestyle="", markersize=6) for n in present
    ]
    where = "outside upper center"
    figure.legend(handles, present, loc=where, ncols=len(present), frameon=False, fontsize=8)
    figure.supxlabel(
        "seconds ÷ seconds of as many bare passes through the machine's fastest backend "
        f"(grey: up to {_AT_MOST})",
        fontsize=9,
    )
    figure.savefig(path, dpi=150)
    return path


def package(implementation: str) -> str:
    """Return whose an implementation is; code as papers have it is a ``loop``."""
    return next((p for p in _PACKAGES if implementation.startswith(p)), "loop")
