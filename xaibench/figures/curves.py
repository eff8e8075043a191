"""Mean curves of deletion, insertion and cumulative drop, with their uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.figures.base import (
    COLUMN,
    PAGE,
    Look,
    blank,
    legend_below,
    looks,
    style,
    title,
    unused,
)
from xaibench.leaderboard import interval, resampled_means

GRID = np.linspace(0, 1, 101)
RESAMPLES = 500

# curve -> (panel, line); a line of None is the explainer's own.
PANELS = {
    "deletion": ("deletion ↓", None),
    "insertion": ("insertion ↑", None),
    "morf": ("cumulative drop", "-"),
    "lerf": ("cumulative drop", "--"),
    "morf@area": ("cumulative drop by area", "-"),
    "lerf@area": ("cumulative drop by area", "--"),
}
X_LABELS = {
    "deletion ↓": "fraction of pixels replaced",
    "insertion ↑": "fraction of pixels restored",
    "cumulative drop": "fraction of segments occluded",
    "cumulative drop by area": "fraction of area occluded",
}
Y_LABELS = {
    "cumulative drop": "fall of the score",
    "cumulative drop by area": "fall of the score",
}


def draw(
    curves: pd.DataFrame,
    dataset: str,
    groups: Mapping[str, str] | None = None,
    controls: Collection[str] = (),
) -> Figure | None:
    """Return one panel a metric, one line an explainer with its 95 % bootstrap band; None if empty.

    Args:
        curves: columns ``image``, ``explainer``, ``curve``, ``x`` and ``y`` (lists).
        groups: image -> patient or slide, which the bootstrap resamples; without it, images.
        controls: drawn in grey, and dashed where dashes do not tell the two orders apart.

    Curves are read off at 101 common places, by linear interpolation: the images' own fractions
    differ. A curve that holds NaN is left out.
    """
    finite = [bool(np.isfinite(y).all()) for y in curves["y"]]
    known = curves[curves["curve"].isin(PANELS.keys()) & np.asarray(finite, dtype=bool)]
    if known.empty:
        return None
    panels = list(dict.fromkeys(p for c, (p, _) in PANELS.items() if (known["curve"] == c).any()))
    seen = looks(known["explainer"].unique(), controls)
    with style():
        across = min(2, len(panels))
        rows = -(-len(panels) // across)
        figure = blank(PAGE if across > 1 else COLUMN, 2.35 * rows + 1.0)
        axes = figure.subplots(rows, across, squeeze=False).ravel()
        unused(axes[len(panels) :])
        of_panel = dict(zip(panels, axes, strict=False))
        for (curve, explainer), part in known.groupby(["curve", "explainer"], sort=False):
            panel, line = PANELS[curve]
            _line(of_panel[panel], part, seen[explainer], line, groups)
        for panel, ax in of_panel.items():
            _label(ax, panel)
        handles = [Line2D([], [], color=s.colour, ls=s.line, lw=1.5) for s in seen.values()]
        names = _names(known, controls)
        if any(line for _, line in map(PANELS.get, known["curve"].unique())):
            handles += [Line2D([], [], color="black", ls=line) for line in ("-", "--")]
            names += ["drop: most important first", "drop: least important first"]
        legend_below(figure, handles, names)
        title(
            figure, f"{dataset}: mean over {known['image'].nunique()} images, 95 % bootstrap bands"
        )
    return figure


def _names(curves: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Name each explainer, with its n where curves of some images are missing."""
    counts = curves.groupby("explainer", sort=False)["image"].nunique()
    told = [f" (n={n})" if n < counts.max() else "" for n in counts]
    names = zip(counts.index, told, strict=True)
    return [f"{name}{' (control)' * (name in controls)}{n}" for name, n in names]


def _line(
    ax: Axes, part: pd.DataFrame, look: Look, line: str | None, groups: Mapping[str, str] | None
) -> None:
    values = np.stack([np.interp(GRID, x, y) for x, y in zip(part["x"], part["y"], strict=True)])
    ax.plot(GRID, values.mean(axis=0), color=look.colour, ls=line or look.line)
    of_image = [groups[image] if groups else image for image in part["image"]]
    if len(set(of_image)) > 1:
        low, high = interval(resampled_means(values, of_image, RESAMPLES, seed=0), 0.95)
        ax.fill_between(GRID, low, high, color=look.colour, alpha=0.15, lw=0)


def _label(ax: Axes, panel: str) -> None:
    ax.set(title=panel, xlabel=X_LABELS[panel], ylabel=Y_LABELS.get(panel, "score of the class"))
    ax.set_xlim(0, 1)
