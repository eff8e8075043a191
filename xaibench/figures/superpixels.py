"""Superpixel occlusion in five panels an image: from the segments to the cumulative drop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from xaibench.figures import choice
from xaibench.figures.base import SMALL, aside, grid, heads, short, style, swatch, titled, write
from xaibench.figures.pictures import as_rgb, bare, heat, note, pale, patch
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.superpixel_table import occluders, segment_drops
from xaibench.store.training_seeds import of_first

LARGEST = 20
NUMBERED = 3  # segments with their place in the image
ROW = 1.45  # inches
HEADS = ["image", "superpixels", "drop, each hidden", f"{LARGEST} largest drops", "cumulative drop"]
FALL, RISE = sns.color_palette("colorblind", 2)[::-1]
ORDERS = {
    "morf": ("most important first", {"color": FALL, "ls": "-"}),
    "lerf": ("least important first", {"color": RISE, "ls": "--"}),
}


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``superpixels`` for the explainer that hides superpixels, ``superpixels_LABEL`` for
    each of several; none where there is none, and none without maps.
    """
    found, shown = occluders(run.manifest), choice.shown(run)
    if shown is None:
        return
    table = run.parquet("curves.parquet")
    table = None if table is None else of_first(table)
    dataset = f"{run.dataset}{choice.of_first_seed(run)}"
    for explainer, measure in found.items():
        pairs = zip(shown["image"], shown["target"], strict=True)
        curves = [_curves(table, image, target, explainer) for image, target in pairs]
        names = ("images", "segments", f"maps/{explainer}")
        arrays = [choice.read(run, shown, name) for name in names]
        name = "superpixels" if len(found) == 1 else f"superpixels_{explainer}"
        yield name, draw(*arrays, shown, curves, measure, dataset)


def _curves(
    table: pd.DataFrame | None, image: str, target: str, explainer: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return x and y of the first metric's ``morf`` and ``lerf``."""
    if table is None:
        return {}
    own = table["image"].eq(image) & table["target"].eq(target) & table["explainer"].eq(explainer)
    rows = table[own & table["curve"].isin(ORDERS)].drop_duplicates("curve")
    return {row.curve: (row.x, row.y) for row in rows.itertuples()}


@style()
def draw(
    images: np.ndarray,
    segments: np.ndarray,
    maps: np.ndarray,
    shown: pd.DataFrame,
    curves: Sequence[Mapping[str, tuple[np.ndarray, np.ndarray]]],
    measure: str = "drop",
    dataset: str = "",
) -> Figure:
    """Return a row an image: the image; the borders of its superpixels; the drops as a heat map;
    the largest of them as bars; and the cumulative drop.

    Args:
        images: (N, H, W, C), uint8 or floats in [0, 1].
        segments: (N, H, W), labels 0..K-1.
        maps: (N, H, W), superpixel occlusion; one that holds NaN is shown as failed.
        shown: one row an image, with ``image``, ``target``, ``p_target`` and ``truth`` as text.
        curves: for each image ``morf`` and ``lerf`` -> x and y of the cumulative drop, if known.
        measure: what the maps hold, ``drop`` or ``drop_per_area``.

    The heat map shows the drop, negatives clipped, and ends at its 99th percentile. The places of
    the three most important segments stand in the image, their numbers below the bars.
    """
    figure, axes = grid(5 * len(shown), 5, ROW, 0.9, width_ratios=[1, 1, 1, 1.35, 1.35])
    figure.get_layout_engine().set(hspace=0.2)  # for the line over each row
    for row, (first, borders, relevance, bars, cumulative) in enumerate(axes.reshape(-1, 5)):
        line = aside(first, _told(shown.iloc[row]), (0, 1), (0, 4), fontsize=SMALL + 0.5)
        line.set_in_layout(False)  # it may lie over the next columns
        patch(first, images[row])
        patch(borders, _bordered(images[row], segments[row]))
        if np.isfinite(maps[row]).all():
            drops = segment_drops(maps[row], segments[row], measure)
            _places(borders, segments[row], drops)
            _heat(relevance, images[row], segments[row], drops)
            _bars(bars, drops)
        else:
            for ax in (relevance, bars):
                bare(ax)
                note(ax, "failed")
        _cumulative(cumulative, curves[row])
    heads(axes[:5], HEADS, fontsize=SMALL + 0.5, pad=18)
    told = f"{dataset}: superpixel occlusion (drop of the target's score)"
    orders = ((f"cumulative: {name}", look) for name, look in ORDERS.values())
    return titled(figure, told, {name: swatch(**look, lw=1.5) for name, look in orders})


def _told(row: pd.Series) -> str:
    return (
        f"{short(row['image'], 40)}: true {short(row['truth'], 30)}, "
        f"p({short(row['target'], 20)}) = {row['p_target']:.2f}"
    )


def _bordered(image: np.ndarray, segments: np.ndarray) -> np.ndarray:
    from skimage.segmentation import find_boundaries  # slow to import, for this figure alone

    shown = as_rgb(image).copy()
    shown[find_boundaries(segments, mode="inner")] = (1.0, 0.85, 0.0)
    return shown


def _places(ax: Axes, segments: np.ndarray, drops: pd.DataFrame) -> None:
    for place, number in enumerate(drops["segment"].head(NUMBERED), start=1):
        rows, columns = np.nonzero(segments == number)
        rim = [withStroke(linewidth=1.8, foreground="black")]
        write(ax, columns.mean(), rows.mean(), str(place), color="white", path_effects=rim)


def _heat(ax: Axes, image: np.ndarray, segments: np.ndarray, drops: pd.DataFrame) -> None:
    of_segment = drops.set_index("segment")["drop"].sort_index().to_numpy()
    values = np.clip(of_segment[segments], 0, None)
    pale(ax, image)
    top = heat(ax, values)
    ax.set_xlabel(f"0 to {top:.3g}" if values.any() else "no drop above 0", labelpad=2)


def _bars(ax: Axes, drops: pd.DataFrame) -> None:
    largest = drops.head(LARGEST)
    places = np.arange(1, len(largest) + 1)
    colours = np.where(largest["drop"] < 0, "0.6", "#b2182b")
    ax.bar(places, largest["drop"], color=colours, width=0.8)
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.set_xlim(0, LARGEST + 1)
    first = ", ".join(map(str, largest["segment"].head(NUMBERED)))
    ax.set_xlabel(f"place; 1–{min(NUMBERED, len(largest))}: {first}", labelpad=2)
    ax.grid(False, axis="x")
    ax.locator_params(axis="y", nbins=4)
    # An exponent of its own above the axis would lie on the row's title.
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    ax.axhline(0, color="0.4", lw=0.6)


def _cumulative(ax: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    if not curves:
        bare(ax)
        note(ax, "no cumulative_drop\nin this run")
        return
    for name, (_, look) in ORDERS.items():
        if name in curves:
            ax.plot(*curves[name], **look)
    ax.axhline(0, color="0.4", lw=0.6)
    ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    ax.set_xlabel("segments hidden", labelpad=2)
    ax.locator_params(axis="y", nbins=4)
