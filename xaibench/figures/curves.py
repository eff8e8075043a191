"""Mean curves of deletion, insertion and cumulative drop, with their uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Kind:
    """What a curve shows; a ``line`` of None is the explainer's own."""

    title: str
    x: str
    y: str = "score of the class"
    line: str | None = None


SEGMENTS = {"title": "{}", "x": "fraction of segments occluded", "y": "fall of the score"}
AREA = SEGMENTS | {"title": "{} by area", "x": "fraction of area occluded"}
KINDS = {
    "deletion": Kind("{} ↓", "fraction of pixels replaced"),
    "insertion": Kind("{} ↑", "fraction of pixels restored"),
    "morf": Kind(**SEGMENTS, line="-"),
    "lerf": Kind(**SEGMENTS, line="--"),
    "morf@area": Kind(**AREA, line="-"),
    "lerf@area": Kind(**AREA, line="--"),
}


def draw(
    curves: pd.DataFrame,
    dataset: str,
    groups: Mapping[str, str] | None = None,
    controls: Collection[str] = (),
) -> Figure | None:
    """Return one panel a metric, one line an explainer with its 95 % bootstrap band; None if empty.

    Args:
        curves: columns ``image``, ``target``, ``explainer``, ``metric`` (its label, the panel's
            title), ``curve`` (one of ``KINDS``; another metric's own goes by its name), ``x`` and
            ``y`` (lists).
        groups: image -> patient or slide, which the bootstrap resamples; without it, images.
        controls: drawn in grey, and dashed where dashes do not tell the two orders apart.

    Curves are read off at 101 common places, by linear interpolation: the images' own fractions
    differ. A curve that holds NaN is left out.
    """
    finite = [bool(np.isfinite(y).all()) for y in curves["y"]]
    known = curves[np.asarray(finite, dtype=bool)]
    if known.empty:
        return None
    known = known.assign(
        panel=[_panel(*pair) for pair in zip(known["metric"], known["curve"], strict=True)]
    )
    panels = list(known["panel"].unique())
    seen = looks(known["explainer"].unique(), controls)
    with style():
        across = min(2, len(panels))
        rows = -(-len(panels) // across)
        figure = blank(PAGE if across > 1 else COLUMN, 2.35 * rows + 1.0)
        axes = figure.subplots(rows, across, squeeze=False).ravel()
        unused(axes[len(panels) :])
        of_panel = dict(zip(panels, axes, strict=False))
        for (panel, curve, explainer), part in known.groupby(
            ["panel", "curve", "explainer"], sort=False
        ):
            kind = _kind(curve)
            _line(of_panel[panel], part, seen[explainer], kind.line, groups)
            of_panel[panel].set(title=panel, xlabel=kind.x, ylabel=kind.y, xlim=(0, 1))
        handles = [Line2D([], [], color=s.colour, ls=s.line, lw=1.5) for s in seen.values()]
        names = _names(known, controls)
        if any(_kind(curve).line for curve in known["curve"].unique()):
            handles += [Line2D([], [], color="black", ls=line) for line in ("-", "--")]
            names += ["drop: most important first", "drop: least important first"]
        legend_below(figure, handles, names)
        images = known["image"].nunique()
        maps = len(known.drop_duplicates(["image", "target"]))
        told = f"{images} images" if maps == images else f"{maps} maps of {images} images"
        title(figure, f"{dataset}: mean over {told}, 95 % bootstrap bands")
    return figure


def _kind(curve: str) -> Kind:
    return KINDS.get(curve, Kind("{}: " + curve, "fraction", "value"))


def _panel(metric: str, curve: str) -> str:
    return _kind(curve).title.format(metric)


def _names(curves: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Name each explainer, with its n where curves of some images are missing."""
    once = curves.drop_duplicates(["explainer", "image", "target"])
    counts = once["explainer"].value_counts().loc[once["explainer"].unique()]
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
