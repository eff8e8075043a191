"""A sheet of images with their labels, the masks outlined."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xaibench.figures.base import PAGE, SMALL, blank, legend_below, style, title, unused

OUTLINES = ("#F0E442", "#56B4E9", "#E69F00", "#FF5FA2")
COLUMNS = 6
LETTERS = 19  # of SMALL text that fit a column
LINES = 3  # under a picture and its id


def draw(
    images: np.ndarray,
    table: pd.DataFrame,
    masks: Mapping[str, np.ndarray],
    heading: str = "",
) -> Figure:
    """Return the sheet, ``COLUMNS`` pictures a row.

    Args:
        images: (N, H, W, C), uint8 or floats in [0, 1]; one channel is drawn in grey.
        table: ``id``, ``split`` and ``label`` (as text) of each image.
        masks: name -> (N, H, W), outlined; a name that ends in ``_weak`` is dashed.
    """
    rows = max(-(-len(images) // COLUMNS), 1)
    side = PAGE / COLUMNS
    names = _names(table["id"].astype(str))
    with style():
        figure = blank(PAGE, rows * (side * images.shape[1] / images.shape[2] + 0.45) + 0.6)
        axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        unused(axes[len(images) :])
        for at, (ax, image) in enumerate(zip(axes, images, strict=False)):
            picture(ax, image)
            for colour, (name, mask) in zip(_colours(masks), masks.items(), strict=True):
                outline(ax, mask[at], colour, _line(name))
            caption = f"{names[at]}\n{_labels(table.iloc[at])}"
            ax.set_xlabel(caption, fontsize=SMALL, labelpad=2)
        if masks:
            lines = [
                Line2D([], [], color=colour, ls=_line(name), lw=1.5)
                for colour, name in zip(_colours(masks), masks, strict=True)
            ]
            names = [f"mask {m}{' (weak mask)' * m.endswith('_weak')}" for m in masks]
            legend_below(figure, lines, names)
        title(figure, heading)
    return figure


def picture(ax: Axes, image: np.ndarray) -> None:
    """Draw an image (H, W) or (H, W, C) as it is, between black and white, without ticks."""
    grey = image.ndim == 2 or image.shape[-1] == 1
    top = 255 if image.dtype == np.uint8 else 1
    if grey:
        ax.imshow(image.reshape(image.shape[:2]), cmap="gray", vmin=0, vmax=top)
    else:
        ax.imshow(image if top == 255 else np.clip(image, 0, 1))
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def outline(ax: Axes, mask: np.ndarray, colour: str, line: str = "-") -> None:
    """Draw the border of a mask (H, W) on its own side of the pixels' edges."""
    if mask.any():
        # A rim of nothing closes outlines at the picture's edge.
        rimmed = np.pad(mask.astype(float), 1)
        rows, columns = (np.arange(-1, side + 1) for side in mask.shape)
        ax.contour(
            columns, rows, rimmed, levels=[0.5], colors=[colour], linewidths=1.1, linestyles=line
        )
        ax.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def _names(ids: Sequence[str]) -> list[str]:
    """Return each id as lines: as many of its last folders as tell it from the others."""
    endings = re.compile(r"\.(jpe?g|png|bmp|tiff?)$", re.IGNORECASE)
    parts = [endings.sub("", name).split("/") for name in ids]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        ends = [tuple(of[-depth:]) for of in parts]
        if len(set(ends)) == len(ends):
            break
    return ["\n".join(_joined(end)) for end in ends]


def _joined(folders: Sequence[str]) -> list[str]:
    """Return the folders of a path on lines of at most ``LETTERS``."""
    lines = [folders[0]]
    for folder in folders[1:]:
        if len(lines[-1]) + 1 + len(folder) > LETTERS:
            lines.append(folder)
        else:
            lines[-1] += f"/{folder}"
    return [shortened(line, LETTERS) for line in lines]


def _labels(row: pd.Series) -> str:
    said = textwrap.wrap(f"{row['split']}: {row['label']}", LETTERS)
    if len(said) > LINES:
        said = [*said[: LINES - 1], f"{said[LINES - 1][: LETTERS - 1]}…"]
    return "\n".join(said)


def shortened(name: str, letters: int) -> str:
    """Return a name with its middle left out where it is longer than ``letters``."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[-half:]}"


def _colours(masks: Mapping[str, np.ndarray]) -> list[str]:
    return [OUTLINES[at % len(OUTLINES)] for at in range(len(masks))]


def _line(mask: str) -> str:
    return "--" if mask.endswith("_weak") else "-"
