"""Occlusion probes: what was painted over, and what it did to the score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.figures.base import (
    COLUMN,
    MARKERS,
    PAGE,
    SMALL,
    blank,
    legend_below,
    style,
    title,
    wrapped,
)
from xaibench.figures.panels import MOST, as_rgb, bare, short
from xaibench.finished import FinishedRun
from xaibench.leaderboard import of_images
from xaibench.probe_table import ALL, probe_table
from xaibench.probes import filled, probe_mask

TEXT = 1.1  # inches left of the image
ABREAST = 9  # probes side by side


def of_run(run: FinishedRun, shown: pd.DataFrame | None) -> Iterator[tuple[str, Figure]]:
    """Yield ``probes`` (and ``probes_2`` where there are many) and ``probes_summary`` of each
    occlusion probe in the run; none where there is none.

    Args:
        shown: one row an image that is drawn, with ``image``, ``target``, ``p_target`` and
            ``truth`` as text; the index is the map's place in ``maps.h5``. None draws no image.
    """
    rows = of_images(run.scores).copy()
    if rows.empty:
        return
    rows[["metric_label", "probe"]] = rows["metric"].str.partition("@")[[0, 2]].to_numpy()
    by_label = rows.groupby("metric_label", sort=False)
    parameters = {label: json.loads(part["params"].iloc[0]) for label, part in by_label}
    asked = {k: p for k, p in parameters.items() if p.get("use") == "occlusion_probe"}
    for label, parameter in asked.items():
        of_label = by_label.get_group(label)
        stem = "probes" if len(asked) == 1 else f"probes_{label}"
        yield f"{stem}_summary", summary(probe_table(of_label), run.dataset)
        wide = of_label.pivot(index=["image", "target"], columns="probe", values="value")
        wide = wide[list(of_label["probe"].unique())]
        if shown is None:
            continue
        with run.maps() as file:
            images, mean = file["images"][list(shown.index)], file["dataset_mean"][:]
        drops = wide.loc[list(zip(shown["image"], shown["target"], strict=True))]
        for start in range(0, drops.shape[1], ABREAST):
            part = drops.iloc[:, start : start + ABREAST]
            number = f"_{start // ABREAST + 1}" if start else ""
            fill = parameter["fill"]
            yield f"{stem}{number}", draw(images, part, shown, fill, mean, run.dataset)


def draw(
    images: np.ndarray,
    drops: pd.DataFrame,
    shown: pd.DataFrame,
    fill: str | float,
    dataset_mean: np.ndarray,
    dataset: str = "",
) -> Figure:
    """Return one row an image: as it is, then under each probe, with its drop below.

    Args:
        images: (N, H, W, C), uint8 or floats in [0, 1]; the first ``MOST`` are drawn.
        drops: one row an image, in the same order; a column a probe, by its name.
        shown: likewise, with ``image``, ``target``, ``p_target`` and ``truth`` as text.
        fill: what was painted over the hidden pixels; see ``probes.filled``.
        dataset_mean: (C,) in [0, 1].
    """
    count = min(MOST, len(shown))
    probes = list(drops.columns)
    side = min((PAGE - TEXT) / (1 + len(probes)), 1.2)
    with style():
        figure = blank(max(COLUMN, TEXT + side * (1 + len(probes))), (side + 0.22) * count + 0.8)
        grid = figure.subplots(count, 1 + len(probes), squeeze=False)
        for row, axes in enumerate(grid):
            image = _unit(images[row])
            _show(axes[0], image)
            _say(axes[0], shown.iloc[row])
            behind = filled(image, fill, dataset_mean)
            for ax, probe in zip(axes[1:], probes, strict=True):
                mask = probe_mask(probe, *image.shape[:2])
                _show(ax, np.where(mask[..., None], behind, image))
                drop = drops.iloc[row][probe]
                below = f"{drop:+.3f}".replace("-", "−") if np.isfinite(drop) else "no value"
                ax.set_xlabel(below, labelpad=2)
        for ax, name in zip(grid[0], ["image", *map(told, probes)], strict=True):
            ax.set_title(wrapped(name.replace(" ", "_"), 9).replace("_", " "), fontsize=SMALL)
        title(
            figure,
            f"{dataset}: images with a part hidden (fill: {fill})\n"
            "below each: drop of the target's score, p(image) − p(part hidden)",
        )
    return figure


def told(probe: str) -> str:
    """Return a probe's name in words: ``quadrant top left``, ``square 10px``, ``ring 0.1``."""
    return probe.replace("_", " ")


def summary(table: pd.DataFrame, dataset: str = "") -> Figure:
    """Return a dot (mean drop) and a line (interval) for each probe and label.

    Args:
        table: what ``probe_table.probe_table`` returns, of the values of one metric.
    """
    metrics = list(table["metric"].unique())
    labels = list(table["label"].unique())
    if len(labels) == 2:  # one label, and it is all of them
        labels = labels[:1]
    colours = ["0.2", *sns.color_palette("colorblind", max(10, len(labels)))]
    step = min(0.22, 0.75 / len(labels))
    with style():
        each = max(0.2, 0.1 * len(labels))
        figure = blank(COLUMN if len(labels) < 4 else PAGE, each * len(metrics) + 1.5)
        ax = figure.subplots()
        ax.axvline(0, color="0.5", lw=0.8, ls="--", zorder=1)
        handles, names = [], []
        for at, label in enumerate(labels):
            rows = table[table["label"] == label].set_index("metric").reindex(metrics)
            places = np.arange(len(metrics)) + step * (at - (len(labels) - 1) / 2)
            look = {"color": colours[at], "marker": MARKERS[at % len(MARKERS)], "ms": 4}
            ax.hlines(places, rows["low"], rows["high"], color=look["color"], lw=1.3)
            ax.plot(rows["mean"], places, **look, ls="")
            handles.append(Line2D([], [], **look, lw=1.3))
            counts = rows["n"].dropna().astype(int)
            span = "–".join(str(n) for n in sorted({counts.min(), counts.max()}))
            names.append(f"{'all' if label == ALL else label} (n={span})")
        ax.set_yticks(range(len(metrics)), [told(m.partition("@")[2] or m) for m in metrics])
        ax.set_ylim(len(metrics) - 0.5, -0.5)
        ax.set_xlabel("mean drop of the target's score")
        ax.grid(False, axis="y")
        legend_below(figure, handles, names)
        confidence = f"{table['confidence'].iloc[0]:.0%}"
        title(figure, f"{dataset}: occlusion probes, {confidence} bootstrap intervals")
    return figure


def _unit(image: np.ndarray) -> np.ndarray:
    """Return an image's channels in [0, 1]."""
    return image / 255.0 if image.dtype == np.uint8 else np.clip(image, 0, 1).astype(float)


def _show(ax: Axes, image: np.ndarray) -> None:
    bare(ax)
    ax.imshow(as_rgb(image))


def _say(ax: Axes, row: Mapping[str, object]) -> None:
    lines = [
        short(str(row["image"]), 16),
        f"true: {short(str(row['truth']), 12)}",
        f"target: {short(str(row['target']), 10)}",
        f"p = {row['p_target']:.2f}",
    ]
    ax.annotate(
        "\n".join(lines),
        (0, 0.5),
        xycoords="axes fraction",
        xytext=(-TEXT * 72 + 4, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
    )
