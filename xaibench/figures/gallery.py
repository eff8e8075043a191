"""Galleries: true positives of each finding, and failures with where the model looked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xaibench.figures.base import PAGE, SMALL, blank, style, title, unused, wrapped
from xaibench.figures.panels import legend_of_masks, outline, overlay, patch, short

ACROSS = 5  # true positives of one finding
FINDINGS = 4  # on one page
PAIRS = 3  # failures side by side, each with its map
ROWS = 5  # of failures on one page
CAM_LIKE = ("grad_cam", "cam")


def shown(explainers: Sequence[str], controls: Sequence[str]) -> str | None:
    """Return the explainer whose maps the galleries show: Grad-CAM, else CAM, else the first."""
    able = [name for name in explainers if name not in controls] or list(explainers)
    return next((name for name in CAM_LIKE if name in able), able[0] if able else None)


def true_positives(
    rows: pd.DataFrame,
    images: np.ndarray,
    maps: np.ndarray,
    masks: Mapping[str, np.ndarray],
    heading: str,
) -> Iterator[Figure]:
    """Yield pages of a row a finding: overlays titled by thresholded prediction and truth.

    Args:
        rows: what ``galleries.true_positives`` returns.
        images: (n, H, W, C), one a row, as all that follow.
        maps: (n, H, W) of one explainer.
        masks: name -> (n, H, W), outlined.
    """
    findings = list(rows["target"].unique())
    signed = _signed(maps)
    for start in range(0, len(findings), FINDINGS):
        page = findings[start : start + FINDINGS]
        with style():
            figure = blank(PAGE, 2.1 * len(page) + 0.8)
            grid = figure.subplots(len(page), ACROSS, squeeze=False)
            for axes, finding in zip(grid, page, strict=True):
                places = np.flatnonzero(rows["target"] == finding)[:ACROSS]
                unused(axes[len(places) :])
                for ax, at in zip(axes, places, strict=False):
                    row = rows.iloc[at]
                    overlay(ax, images[at], maps[at], signed)
                    outline(ax, {name: mask[at] for name, mask in masks.items()})
                    ax.set_title(_hit(row), fontsize=SMALL)
                    ax.set_xlabel(short(str(row["image"]), 20), fontsize=SMALL)
            legend_of_masks(figure, list(masks))
            title(figure, f"{heading}\ntrue positives at Youden's threshold\n{_colours(signed)}")
        yield figure


def failures(
    rows: pd.DataFrame, images: np.ndarray, maps: np.ndarray, heading: str, total: int
) -> Iterator[Figure]:
    """Yield pages of failures, the worst first: the image, and beside it where the model looked.

    Args:
        rows: what ``galleries.failures`` returns.
        images: (n, H, W, C), one a row.
        maps: (n, H, W) of one explainer.
        total: how many failures there are, with those that are not shown.
    """
    signed = _signed(maps)
    page = PAIRS * ROWS
    for start in range(0, len(rows), page):
        part = range(start, min(start + page, len(rows)))
        down = -(-len(part) // PAIRS)
        with style():
            figure = blank(PAGE, 1.7 * down + 0.8)
            grid = figure.subplots(down, 2 * PAIRS, squeeze=False).reshape(-1, 2)
            unused(grid[len(part) :].ravel())
            for (left, right), at in zip(grid, part, strict=False):
                row = rows.iloc[at]
                patch(left, images[at], {})
                overlay(right, images[at], maps[at], signed)
                left.set_title(_miss(row), fontsize=SMALL)
                right.set_title(f"map of\n{wrapped(str(row['target']), 16)}", fontsize=SMALL)
                left.set_xlabel(short(str(row["image"]), 20), fontsize=SMALL)
            span = f"{part[0] + 1} to {part[-1] + 1} of {total}"
            title(figure, f"{heading}\nfailures {span}, the worst first\n{_colours(signed)}")
        yield figure


def _signed(maps: np.ndarray) -> bool:
    return bool(np.nanmin(np.append(maps, 0)) < 0)


def _colours(signed: bool) -> str:
    against = ", blue: against it" if signed else ""
    return f"red: for the target{against}; full at the 99th percentile of each map's |values|"


def _hit(row: pd.Series) -> str:
    return (
        f"{short(str(row['target']), 22)}:\npredicted 1, truth 1\n"
        f"(p {row['p_target']:.2f} ≥ {row['threshold']:.2g})"
    )


def _miss(row: pd.Series) -> str:
    if "label" in row:
        told = f"true: {short(str(row['label']), 14)}\nmodel: {short(str(row['predicted']), 13)}"
        return f"{told}\np(true) = {1 - row['error']:.2f}"
    label = row[f"label_{row['target']}"]
    return f"{short(str(row['target']), 20)}\ntruth {label:g}\nmodel {row['p_target']:.2f}"
