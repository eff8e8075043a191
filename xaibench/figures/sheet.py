"""A sheet of images with their labels, the masks outlined."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xaibench.figures.base import PAGE, grid, packed, shortened, style, titled
from xaibench.figures.pictures import ON_SHEETS, border, legend_of, lines_of, picture

COLUMNS = 6
LETTERS = 19  # of SMALL text that fit a column
LINES = 3  # under a picture and its id


@style()
def draw(
    images: np.ndarray, table: pd.DataFrame, masks: Mapping[str, np.ndarray], heading: str = ""
) -> Figure:
    """Return the sheet, ``COLUMNS`` pictures a row.

    Args:
        images: (N, H, W, C), uint8 or floats in [0, 1]; one channel is drawn in grey.
        table: ``id``, ``split`` and ``label`` (as text) of each image.
        masks: name -> (N, H, W), outlined; a name that ends in ``_weak`` is dashed.
    """
    side = PAGE / COLUMNS
    high = side * images.shape[1] / images.shape[2]
    figure, axes = grid(len(images), COLUMNS, high + 0.45, 0.6)
    names = _names(table["id"].astype(str))
    for at, (ax, image) in enumerate(zip(axes, images, strict=True)):
        picture(ax, image, f"{names[at]}\n{_labels(table.iloc[at])}", labelpad=2)
        for name, line in lines_of(masks, ON_SHEETS).items():
            border(ax, masks[name][at], **line)
    return titled(figure, heading, legend_of(masks, ON_SHEETS))


def _names(ids: Sequence[str]) -> list[str]:
    """Return each id as lines: as many of its last folders as tell it from the others."""
    endings = re.compile(r"\.(jpe?g|png|bmp|tiff?)$", re.IGNORECASE)
    parts = [endings.sub("", name).split("/") for name in ids]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        ends = [tuple(of[-depth:]) for of in parts]
        if len(set(ends)) == len(ends):
            break
    lines = [packed(end, LETTERS, "/") for end in ends]
    return ["\n".join(shortened(line, LETTERS) for line in of) for of in lines]


def _labels(row: pd.Series) -> str:
    said = textwrap.wrap(f"{row['split']}: {row['label']}", LETTERS)
    if len(said) > LINES:
        said = [*said[: LINES - 1], f"{said[LINES - 1][: LETTERS - 1]}…"]
    return "\n".join(said)
