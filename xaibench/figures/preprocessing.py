"""What the preparation does to a radiograph: before and after, and stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xaibench.datasets.stages import Stages
from xaibench.figures.base import PAGE, SMALL, blank, style, title, unused
from xaibench.figures.sheet import picture, shortened

FRAME = "#E69F00"
PAIRS = 4  # before and after, in one row
COLUMNS = ("original", "cropped", "resized", "cached", "pad mask")


def draw_before_after(images: Sequence[Stages], heading: str = "") -> Figure:
    """Return each original with the bounds of its crop, and beside it what a model gets."""
    rows = -(-len(images) // PAIRS)
    with style():
        figure = blank(PAGE, rows * 1.15 + 0.55)
        axes = figure.subplots(rows, 2 * PAIRS, squeeze=False).ravel()
        unused(axes[2 * len(images) :])
        for at, image in enumerate(images):
            before, after = axes[2 * at : 2 * at + 2]
            picture(before, image.original)
            before.add_patch(_frame(image.prepared.bounds))
            before.set_xlabel(_sizes(image.original), fontsize=SMALL)
            picture(after, image.cached)
            removed = image.prepared.placement.removed
            after.set_xlabel(f"cut by {removed:.1%}" if removed else "uncut", fontsize=SMALL)
        for ax in axes:
            ax.set_anchor("N")
        for ax, name in zip(axes[: 2 * len(images)], ("before", "after") * PAIRS, strict=False):
            ax.set_title(name, fontsize=SMALL)
        title(figure, heading)
    return figure


def draw_stages(images: Sequence[Stages], heading: str = "") -> Figure:
    """Return a row of stages an image: original, cropped, resized, cached, where it is padded.

    The title says how far the cached pictures are from those prepared anew: 0 if all is well.
    """
    with style():
        figure = blank(PAGE, len(images) * 1.65 + 0.7)
        axes = figure.subplots(len(images), len(COLUMNS), squeeze=False)
        for row, image in zip(axes, images, strict=True):
            shown = (image.original, image.cropped, image.prepared.image, image.cached)
            for ax, pixels in zip(row, shown, strict=False):
                picture(ax, pixels)
                ax.set_xlabel(_sizes(pixels), fontsize=SMALL)
            row[0].add_patch(_frame(image.prepared.bounds))
            picture(row[-1], image.prepared.pad.astype(np.float32))
            row[-1].set_xlabel(f"{image.prepared.pad.mean():.1%} filled", fontsize=SMALL)
            row[0].set_ylabel(shortened(image.name, 22), fontsize=SMALL)
        for ax in axes.ravel():
            ax.set_anchor("N")
        for ax, name in zip(axes[0], COLUMNS, strict=True):
            ax.set_title(name, fontsize=SMALL)
        drift = max(map(_drift, images))
        title(figure, f"{heading}\nlargest difference, cached to prepared anew: {drift} of 255")
    return figure


def _drift(image: Stages) -> int:
    return int(np.abs(image.cached.astype(int) - image.prepared.image.astype(int)).max())


def _frame(bounds: tuple[int, int, int, int]) -> Rectangle:
    top, bottom, left, right = bounds
    corner = (left - 0.5, top - 0.5)
    return Rectangle(corner, right - left, bottom - top, fill=False, ec=FRAME, lw=1.2)


def _sizes(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
