"""Superpixel occlusion in five panels an image: from the segments to the cumulative drop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from skimage.segmentation import find_boundaries

from xaibench.figures.base import PAGE, SMALL, blank, legend_below, style, title
from xaibench.figures.panels import MOST, POSITIVE, as_rgb, bare, note, short
from xaibench.finished import FinishedRun
from xaibench.superpixel_table import occluders, segment_drops

LARGEST = 20
NUMBERED = 3  # segments with their place in the image
ROW = 1.45  # inches
HEADS = ["image", "superpixels", "drop, each hidden", f"{LARGEST} largest drops", "cumulative drop"]
FALL, RISE = sns.color_palette("colorblind", 2)[::-1]
ORDERS = {
    "morf": (FALL, "-", "most important first"),
    "lerf": (RISE, "--", "least important first"),
}


def of_run(run: FinishedRun, shown: pd.DataFrame | None) -> Iterator[tuple[str, Figure]]:
    """Yield ``superpixels`` for the explainer that hides superpixels, ``superpixels_LABEL`` for
    each of several; none where there is none.

    Args:
        shown: one row an image that is drawn, with ``image``, ``target``, ``p_target`` and
            ``truth`` as text; the index is the map's place in ``maps.h5``. None draws nothing.
    """
    found = occluders(run.manifest) if shown is not None else {}
    table = run.parquet("curves.parquet")
    with run.maps() as file:
        for explainer, measure in found.items():
            at = list(shown.index)
            curves = [
                _curves(table, image, target, explainer)
                for image, target in zip(shown["image"], shown["target"], strict=True)
            ]
            arrays = [file[k][at] for k in ("images", "segments", f"maps/{explainer}")]
            name = "superpixels" if len(found) == 1 else f"superpixels_{explainer}"
            yield name, draw(*arrays, shown, curves, measure, run.dataset)


def _curves(
    table: pd.DataFrame | None, image: str, target: str, explainer: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return x and y of the first metric's ``morf`` and ``lerf``."""
    if table is None:
        return {}
    own = table["image"].eq(image) & table["target"].eq(target) & table["explainer"].eq(explainer)
    rows = table[own & table["curve"].isin(ORDERS)].drop_duplicates("curve")
    return {row.curve: (row.x, row.y) for row in rows.itertuples()}


def draw(
    images: np.ndarray,
    segments: np.ndarray,
    maps: np.ndarray,
    shown: pd.DataFrame,
    curves: Sequence[Mapping[str, tuple[np.ndarray, np.ndarray]]],
    measure: str = "drop",
    dataset: str = "",
) -> Figure:
    """Return a row an image, for the first ``MOST``: the image; the borders of its superpixels;
    the drops as a heat map; the largest of them as bars; and the cumulative drop.

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
    count = min(MOST, len(shown))
    with style():
        figure = blank(PAGE, ROW * count + 0.9)
        figure.get_layout_engine().set(hspace=0.2)  # for the line over each row
        grid = figure.subplots(count, 5, squeeze=False, width_ratios=[1, 1, 1, 1.35, 1.35])
        for row, axes in enumerate(grid):
            _say(axes[0], shown.iloc[row])
            _image(axes[0], images[row])
            _borders(axes[1], images[row], segments[row])
            if np.isfinite(maps[row]).all():
                drops = segment_drops(maps[row], segments[row], measure)
                _places(axes[1], segments[row], drops)
                _heat(axes[2], images[row], segments[row], drops)
                _bars(axes[3], drops)
            else:
                for ax in axes[2:4]:
                    bare(ax)
                    note(ax, "failed")
            _cumulative(axes[4], curves[row])
        for ax, head in zip(grid[0], HEADS, strict=True):
            ax.set_title(head, fontsize=SMALL + 0.5, pad=18)
        handles = [Line2D([], [], color=c, ls=ls, lw=1.5) for c, ls, _ in ORDERS.values()]
        legend_below(figure, handles, [f"cumulative: {name}" for *_, name in ORDERS.values()])
        title(figure, f"{dataset}: superpixel occlusion (drop of the target's score)")
    return figure


def _say(ax: Axes, row: pd.Series) -> None:
    told = ax.annotate(
        f"{short(str(row['image']), 40)}: true {short(str(row['truth']), 30)}, "
        f"p({short(str(row['target']), 20)}) = {row['p_target']:.2f}",
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=SMALL + 0.5,
    )
    told.set_in_layout(False)  # it may lie over the next columns


def _image(ax: Axes, image: np.ndarray) -> None:
    bare(ax)
    ax.imshow(as_rgb(image))


def _borders(ax: Axes, image: np.ndarray, segments: np.ndarray) -> None:
    shown = as_rgb(image).copy()
    shown[find_boundaries(segments, mode="inner")] = (1.0, 0.85, 0.0)
    bare(ax)
    ax.imshow(shown)


def _places(ax: Axes, segments: np.ndarray, drops: pd.DataFrame) -> None:
    for place, number in enumerate(drops["segment"].head(NUMBERED), start=1):
        rows, columns = np.nonzero(segments == number)
        ax.text(
            columns.mean(),
            rows.mean(),
            str(place),
            color="white",
            ha="center",
            va="center",
            fontsize=SMALL,
            path_effects=[withStroke(linewidth=1.8, foreground="black")],
        )


def _heat(ax: Axes, image: np.ndarray, segments: np.ndarray, drops: pd.DataFrame) -> None:
    of_segment = drops.set_index("segment")["drop"].sort_index().to_numpy()
    values = np.clip(of_segment[segments], 0, None)
    top = np.percentile(values, 99) or values.max() or 1.0
    bare(ax)
    grey = as_rgb(image).mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=-0.3, vmax=1.2)  # pale, so that the colours stand out
    ax.imshow(values, cmap=POSITIVE, vmin=0, vmax=top)
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
    for name, (colour, line, _) in ORDERS.items():
        if name in curves:
            ax.plot(*curves[name], color=colour, ls=line)
    ax.axhline(0, color="0.4", lw=0.6)
    ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    ax.set_xlabel("segments hidden", labelpad=2)
    ax.locator_params(axis="y", nbins=4)
