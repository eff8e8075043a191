"""Occlusion probes: what was painted over, and what it did to the score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import COLUMN, PAGE, blank, pages, short, style, swatch, titled, wrapped
from xaibench.figures.looks import MARKERS
from xaibench.figures.pictures import image_rows, in_unit, patch
from xaibench.imaging.regions import filled, probe_mask
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.probe_table import ALL, probe_table
from xaibench.leaderboards.summary import of_images
from xaibench.store.training_seeds import of_first

TEXT = 1.1  # inches left of the image
ABREAST = 9  # probes side by side


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``probes_summary`` and ``probes`` (and ``probes_2`` where there are many) of each
    occlusion probe in the run; none where there is none, and the summary alone without maps.
    """
    rows = of_images(run.scores)
    if rows.empty:
        return
    found = {}
    for label, part in rows.groupby(rows["metric"].str.partition("@")[0], sort=False):
        parameters = json.loads(part["params"].iloc[0])
        if parameters.get("use") == "occlusion_probe":
            found[label] = part, parameters["fill"]
    for label, (part, fill) in found.items():
        stem = "probes" if len(found) == 1 else f"probes_{label}"
        yield (
            f"{stem}_summary",
            summary(probe_table(part), f"{run.dataset}{choice.over_seeds(run)}"),
        )
        yield from _of_images(run, part, fill, stem)


def _of_images(
    run: ScoredRun, rows: pd.DataFrame, fill: str | float, name: str
) -> Iterator[tuple[str, Figure]]:
    shown = choice.shown(run)
    if shown is None:
        return
    images = choice.read(run, shown, "images")
    with run.maps() as file:
        mean = file["dataset_mean"][:]
    rows = of_first(rows)
    probes = rows["metric"].str.partition("@")[2]
    wide = rows.assign(probe=probes).pivot(
        index=["image", "target"], columns="probe", values="value"
    )
    drops = wide.loc[list(zip(shown["image"], shown["target"], strict=True))]

    def page(part: Sequence[str]) -> Figure:
        dataset = f"{run.dataset}{choice.of_first_seed(run)}"
        return draw(images, drops[part], shown, fill, mean, dataset)

    yield from pages(name, list(probes.unique()), ABREAST, page)


@style()
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
        images: (N, H, W, C), uint8 or floats in [0, 1].
        drops: one row an image, in the same order; a column a probe, by its name.
        shown: likewise, with ``image``, ``target``, ``p_target`` and ``truth`` as text.
        fill: what was painted over the hidden pixels; see ``regions.filled``.
        dataset_mean: (C,) in [0, 1].
    """
    images = [in_unit(image).astype(float) for image in images]
    side = min((PAGE - TEXT) / (1 + drops.shape[1]), 1.2)
    told = [_told(row) for _, row in shown.iterrows()]
    names = [wrapped(probe, 9).replace("_", " ") for probe in drops]
    figure, axes = image_rows(images, told, names, side, TEXT, side + 0.22, 0.8)
    for at, image in enumerate(images):
        behind = filled(image, fill, dataset_mean)
        for ax, (probe, drop) in zip(axes[at, 1:], drops.iloc[at].items(), strict=True):
            mask = probe_mask(probe, *image.shape[:2])
            patch(ax, np.where(mask[..., None], behind, image))
            below = f"{drop:+.3f}".replace("-", "−") if np.isfinite(drop) else "no value"
            ax.set_xlabel(below, labelpad=2)
    below = "below each: drop of the target's score, p(image) − p(part hidden)"
    return titled(figure, f"{dataset}: images with a part hidden (fill: {fill})\n{below}")


def _told(row: pd.Series) -> str:
    return (
        f"{short(row['image'], 16)}\ntrue: {short(row['truth'], 12)}\n"
        f"target: {short(row['target'], 10)}\np = {row['p_target']:.2f}"
    )


@style()
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
    each = max(0.2, 0.1 * len(labels))
    figure = blank(COLUMN if len(labels) < 4 else PAGE, each * len(metrics) + 1.5)
    ax = figure.subplots()
    ax.axvline(0, color="0.5", lw=0.8, ls="--", zorder=1)
    entries = {}
    for at, label in enumerate(labels):
        rows = table[table["label"] == label].set_index("metric").reindex(metrics)
        places = np.arange(len(metrics)) + step * (at - (len(labels) - 1) / 2)
        look = {"color": colours[at], "marker": MARKERS[at % len(MARKERS)], "ms": 4}
        ax.hlines(places, rows["low"], rows["high"], color=look["color"], lw=1.3)
        ax.plot(rows["mean"], places, **look, ls="")
        counts = rows["n"].dropna().astype(int)
        span = "–".join(str(n) for n in sorted({counts.min(), counts.max()}))
        entries[f"{'all' if label == ALL else label} (n={span})"] = swatch(**look, lw=1.3)
    names = [(metric.partition("@")[2] or metric).replace("_", " ") for metric in metrics]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(metrics) - 0.5, -0.5)
    ax.set_xlabel("mean drop of the target's score")
    ax.grid(False, axis="y")
    told = f"occlusion probes, {table['confidence'].iloc[0]:.0%} intervals"
    return titled(figure, f"{dataset}: {told}", entries)
