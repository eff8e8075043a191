"""Mean curves of deletion, insertion and cumulative drop, with their uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.figures import choice
from xaibench.figures.base import grid, style, swatch, titled
from xaibench.figures.looks import Look, looks
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.intervals import t_interval
from xaibench.store.schema import SEED
from xaibench.store.training_seeds import seeds_of, with_seeds
from xaibench.types import MIN_GROUPS

GRID = np.linspace(0, 1, 101)
MOST = 12  # explainers that can be told apart; of more only the best are
BEST = 3  # of each panel
GREY = "0.8"  # of the others


@dataclass(frozen=True)
class Kind:
    """What a curve shows; a ``line`` of None is the explainer's own."""

    title: str
    x: str
    y: str = "score of the class"
    line: str | None = None

    @property
    def high(self) -> bool:
        """Whether a high curve, the most important first where both orders are drawn, is good."""
        return "↑" in self.title or self.y == FALL


FALL = "fall of the score"
SEGMENTS = {"title": "{}", "x": "fraction of segments occluded", "y": FALL}
PIXELS = {"title": "{}", "x": "fraction of pixels replaced"}
AREA = SEGMENTS | {"title": "{} by area", "x": "fraction of area occluded"}
KINDS = {
    "deletion": Kind("{} ↓", "fraction of pixels replaced"),
    "insertion": Kind("{} ↑", "fraction of pixels restored"),
    "deletion@lerf": Kind("{} ↑", "fraction of pixels replaced, least relevant first"),
    "insertion@lerf": Kind("{} ↓", "fraction of pixels restored, least relevant first"),
    "morf": Kind(**SEGMENTS, line="-"),
    "lerf": Kind(**SEGMENTS, line="--"),
    "morf@area": Kind(**AREA, line="-"),
    "lerf@area": Kind(**AREA, line="--"),
    "morf@pixels": Kind(**PIXELS, line="-"),
    "lerf@pixels": Kind(**PIXELS, line="--"),
    "road": Kind("{} ↓", "fraction of pixels imputed"),
    "road@lerf": Kind("{} ↑", "fraction of pixels imputed, least relevant first"),
    "selectivity": Kind("{} ↓", "fraction of patches replaced"),
    "aopc": Kind("{} ↑", "fraction of regions replaced", FALL),
    "irof": Kind("{} ↑", "fraction of segments replaced", "score over the whole image's"),
    "irof@area": Kind("{} by area ↑", "fraction of area replaced", "score over the whole image's"),
    "monotonicity": Kind("{} ↑", "fraction of pixels restored, least relevant first"),
    "sensitivity_n": Kind("{} ↑", "fraction of pixels in a set", "correlation"),
    **{
        how: Kind("{}: " + how, "fraction of layers drawn anew", "likeness to the trained model's")
        for how in ("spearman", "spearman_abs", "ssim")
    },
}


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``curves`` where the run holds one without NaN."""
    table = run.parquet("curves.parquet")
    if table is not None:
        rows = run.scores.dropna(subset="image").drop_duplicates("image").set_index("image")
        groups = rows["group"].fillna(rows.index.to_series()).to_dict()
        figure = draw(table, run.dataset, groups, choice.controls_of(run))
        if figure is not None:
            yield "curves", figure


@style()
def draw(
    curves: pd.DataFrame,
    dataset: str,
    groups: Mapping[str, str] | None = None,
    controls: Collection[str] = (),
) -> Figure | None:
    """Return one panel a metric, one line an explainer with its 95 % band; None if empty.

    Args:
        curves: columns ``training_seed`` (if known), ``image``, ``target``, ``explainer``,
            ``metric`` (its label, the panel's title), ``curve`` (one of ``KINDS``; another
            metric's own goes by its name), ``x`` and ``y`` (lists).
        groups: image -> patient or slide, which bands are clustered by; without it, images. With
            fewer than ``MIN_GROUPS`` there is no band.
        controls: drawn in grey, and dashed where dashes do not tell the two orders apart.

    Curves are read off at 101 common places, by linear interpolation: the images' own fractions
    differ. Where some of a line's curves do not reach, it is not drawn. A curve that holds NaN is
    left out. Of more than 12 explainers the three best of each panel, and the controls, are drawn
    as said, the others as thin grey lines without a band.
    """
    finite = [bool(np.isfinite(y).all()) for y in curves["y"]]
    known = with_seeds(curves[np.asarray(finite, dtype=bool)])
    if known.empty:
        return None
    pairs = zip(known["metric"], known["curve"], strict=True)
    known = known.assign(panel=[_kind(curve).title.format(metric) for metric, curve in pairs])
    panels = known["panel"].unique()
    told_apart = _told_apart(known, controls)
    seen = looks(told_apart, [name for name in controls if name in told_apart])
    figure, axes = grid(len(panels), min(2, len(panels)), 2.35, 1.0)
    of_panel = dict(zip(panels, axes, strict=True))
    lines = known.groupby(["panel", "curve", "explainer"], sort=False)
    for (panel, curve, explainer), part in lines:
        kind = _kind(curve)
        _line(of_panel[panel], part, seen.get(explainer), kind.line, groups)
        of_panel[panel].set(title=panel, xlabel=kind.x, ylabel=kind.y, xlim=(0, 1))
    entries = _entries(known, seen)
    if any(_kind(curve).line for curve in known["curve"].unique()):
        for line, order in (("-", "most"), ("--", "least")):
            entries[f"{order} important first"] = swatch(color="black", ls=line)
    others = known["explainer"].nunique() - len(seen)
    if others:
        entries[f"the other {others}"] = swatch(color=GREY)
    images = known["image"].nunique()
    maps = len(known.drop_duplicates([SEED, "image", "target"]))
    told = f"{images} images" if maps == images else f"{maps} maps of {images} images"
    seeds = seeds_of(known)
    told += f" by {len(seeds)} training seeds" * (len(seeds) > 1)
    title = f"{dataset}: mean over {told}, 95 % bands at each place"
    best = f"\nin colour: the {BEST} best of each panel, of {others + len(seen)} explainers" * bool(
        others
    )
    return titled(figure, title + best, entries)


def _kind(curve: str) -> Kind:
    return KINDS.get(curve, Kind("{}: " + curve, "fraction", "value"))


def _told_apart(known: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Return the explainers that are drawn in full: all, or the controls and each panel's best."""
    names = known["explainer"].unique().tolist()
    if len(names) <= MOST:
        return names
    chosen = set(controls)
    for (_, curve), part in known.groupby(["panel", "curve"]):
        kind = KINDS.get(curve)
        if kind is None or kind.line == "--":  # which way is better is unknown; the other order
            continue
        able = part[~part["explainer"].isin(controls)]
        heights = able.assign(height=[np.mean(y) for y in able["y"]]).groupby("explainer")["height"]
        merit = heights.mean() * (1 if kind.high else -1)
        chosen |= set(merit.nlargest(BEST).index)
    return [name for name in names if name in chosen]


def _entries(curves: pd.DataFrame, seen: Mapping[str, Look]) -> dict[str, Line2D]:
    """Name each explainer, with its n where curves of some images are missing."""
    each = curves.drop_duplicates(["explainer", SEED, "image", "target"])
    counts = each["explainer"].value_counts()
    entries = {}
    for name, look in seen.items():
        n = f" (n={counts[name]})" if counts[name] < counts.max() else ""
        entries[look.name + n] = swatch(color=look.colour, ls=look.line, lw=1.5)
    return entries


def _line(
    ax: Axes,
    part: pd.DataFrame,
    look: Look | None,
    line: str | None,
    groups: Mapping[str, str] | None,
) -> None:
    low, high = max(x[0] for x in part["x"]), min(x[-1] for x in part["x"])
    # Beyond its own points a curve says nothing; with few of them they are all there is.
    places = np.unique(np.clip(GRID, low, high))
    values = np.stack([np.interp(places, x, y) for x, y in zip(part["x"], part["y"], strict=True)])
    if look is None:
        ax.plot(places, values.mean(axis=0), color=GREY, ls=line or "-", lw=0.6, zorder=1)
        return
    ax.plot(places, values.mean(axis=0), color=look.colour, ls=line or look.line)
    of_image = [groups[image] if groups else image for image in part["image"]]
    clusters = Clusters.of(values, of_image)
    if clusters.groups[0] >= MIN_GROUPS:
        low, high = t_interval(clusters.mean, clusters.variance, clusters.df, 0.95)
        ax.fill_between(places, low, high, color=look.colour, alpha=0.15, lw=0)
