"""What the preparation does to a radiograph: before and after, and stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xaibench.figures.base import SMALL, grid, heads, shortened, style, titled
from xaibench.figures.pictures import picture
from xaibench.imaging.inspection.stages import Stages

FRAME = "#E69F00"
PAIRS = 4  # before and after, in one row
AT_TOP = {"anchor": "N"}
COLUMNS = ("original", "cropped", "resized", "cached", "pad mask")


@style()
def draw_before_after(images: Sequence[Stages], heading: str = "") -> Figure:
    """Return each original with the bounds of its crop, and beside it what a model gets."""
    figure, axes = grid(2 * len(images), 2 * PAIRS, 1.15, 0.55, subplot_kw=AT_TOP)
    for (before, after), image in zip(axes.reshape(-1, 2), images, strict=True):
        picture(before, image.original, _sizes(image.original))
        before.add_patch(_frame(image.prepared.placement.bounds))
        removed = image.prepared.placement.removed
        picture(after, image.cached, f"cut by {removed:.1%}" if removed else "uncut")
    top = axes[: 2 * PAIRS]
    heads(top, ("before", "after") * (len(top) // 2))
    return titled(figure, heading)


@style()
def draw_stages(images: Sequence[Stages], heading: str = "") -> Figure:
    """Return a row of stages an image: original, cropped, resized, cached, where it is padded.

    The title says how far the cached pictures are from those prepared anew: 0 if all is well.
    """
    columns = len(COLUMNS)
    figure, axes = grid(len(images) * columns, columns, 1.65, 0.7, subplot_kw=AT_TOP)
    for row, image in zip(axes.reshape(-1, columns), images, strict=True):
        shown = (image.original, image.cropped, image.prepared.image, image.cached)
        for ax, pixels in zip(row, shown, strict=False):
            picture(ax, pixels, _sizes(pixels))
        row[0].add_patch(_frame(image.prepared.placement.bounds))
        pad = image.prepared.placement.pad
        picture(row[-1], pad.astype(np.float32), f"{pad.mean():.1%} filled")
        row[0].set_ylabel(shortened(image.name, 22), fontsize=SMALL)
    heads(axes[:columns], COLUMNS)
    drift = max(map(_drift, images))
    told = f"largest difference, cached to prepared anew: {drift} of 255"
    return titled(figure, f"{heading}\n{told}")


def _drift(image: Stages) -> int:
    return int(np.abs(image.cached.astype(int) - image.prepared.image.astype(int)).max())


def _frame(bounds: tuple[int, int, int, int]) -> Rectangle:
    top, bottom, left, right = bounds
    corner = (left - 0.5, top - 0.5)
    return Rectangle(corner, right - left, bottom - top, fill=False, ec=FRAME, lw=1.2)


def _sizes(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
