"""Galleries: true positives of each finding, and failures with where the model looked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import SMALL, grid, hide, pages, short, style, titled, wrapped
from xaibench.figures.pictures import is_signed, legend_of, outline, overlay, patch
from xaibench.leaderboards.board import ScoredRun

ACROSS = 5  # true positives of one finding
FINDINGS = 4  # on one page
PAIRS = 3  # failures side by side, each with its map
FAILURES = 15  # on one page
MOST_FAILURES = 3 * FAILURES


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield the pages of ``true_positives`` and of ``failures``, none of what there is not."""
    items = choice.explained(run)
    explainer = choice.cam_like(choice.drawn(run), choice.controls_of(run))
    if items is None or explainer is None:
        return
    heading = f"{choice.heading_of_first(run)}, {explainer}"

    def arrays(rows: pd.DataFrame) -> list[np.ndarray]:
        return [choice.read(run, rows, name) for name in ("images", f"maps/{explainer}")]

    hits = choice.true_positives(items, choice.thresholds(run.predictions), ACROSS)
    masks = {n: m for n, m in choice.masks(run, hits).items() if not n.startswith("lungs")}
    yield from true_positives(hits, *arrays(hits), masks, heading)
    every = choice.failures(items)
    worst = every.head(MOST_FAILURES)
    yield from failures(worst, *arrays(worst), heading, len(every))


def true_positives(
    rows: pd.DataFrame,
    images: np.ndarray,
    maps: np.ndarray,
    masks: Mapping[str, np.ndarray],
    heading: str,
) -> Iterator[tuple[str, Figure]]:
    """Yield pages of a row a finding: overlays titled by thresholded prediction and truth.

    Args:
        rows: what ``choice.true_positives`` returns.
        images: (n, H, W, C), one a row, as all that follow.
        maps: (n, H, W) of one explainer.
        masks: name -> (n, H, W), outlined.
    """
    signed = is_signed(maps)

    @style()
    def page(findings: Sequence[str]) -> Figure:
        figure, axes = grid(len(findings) * ACROSS, ACROSS, 2.1, 0.8)
        for of_finding, finding in zip(axes.reshape(-1, ACROSS), findings, strict=True):
            places = np.flatnonzero(rows["target"] == finding)[:ACROSS]
            hide(of_finding[len(places) :])
            for ax, at in zip(of_finding, places, strict=False):
                row = rows.iloc[at]
                overlay(ax, images[at], maps[at], signed)
                outline(ax, {name: mask[at] for name, mask in masks.items()})
                ax.set_title(_hit(row), fontsize=SMALL)
                ax.set_xlabel(short(row["image"], 20), fontsize=SMALL)
        told = f"{heading}\ntrue positives at Youden's threshold\n{_colours(signed)}"
        return titled(figure, told, legend_of(masks))

    return pages("true_positives", list(rows["target"].unique()), FINDINGS, page)


def failures(
    rows: pd.DataFrame, images: np.ndarray, maps: np.ndarray, heading: str, total: int
) -> Iterator[tuple[str, Figure]]:
    """Yield pages of failures, the worst first: the image, and beside it where the model looked.

    Args:
        rows: what ``choice.failures`` returns.
        images: (n, H, W, C), one a row.
        maps: (n, H, W) of one explainer.
        total: how many failures there are, with those that are not shown.
    """
    signed = is_signed(maps)

    @style()
    def page(places: range) -> Figure:
        figure, axes = grid(2 * len(places), 2 * PAIRS, 1.7, 0.8)
        for (left, right), at in zip(axes.reshape(-1, 2), places, strict=True):
            row = rows.iloc[at]
            patch(left, images[at])
            overlay(right, images[at], maps[at], signed)
            left.set_title(_miss(row), fontsize=SMALL)
            right.set_title(f"map of\n{wrapped(str(row['target']), 16)}", fontsize=SMALL)
            left.set_xlabel(short(row["image"], 20), fontsize=SMALL)
        shown = f"{places[0] + 1} to {places[-1] + 1} of {total}"
        told = f"{heading}\nfailures {shown}, the worst first\n{_colours(signed)}"
        return titled(figure, told)

    return pages("failures", range(len(rows)), FAILURES, page)


def _colours(signed: bool) -> str:
    against = ", blue: against it" if signed else ""
    return f"red: for the target{against}; full at the 99th percentile of each map's |values|"


def _hit(row: pd.Series) -> str:
    return (
        f"{short(row['target'], 22)}:\npredicted 1, truth 1\n"
        f"(p {row['p_target']:.2f} ≥ {row['threshold']:.2g})"
    )


def _miss(row: pd.Series) -> str:
    if "label" in row:
        told = f"true: {short(row['label'], 14)}\nmodel: {short(row['predicted'], 13)}"
        return f"{told}\np(true) = {1 - row['error']:.2f}"
    label = row[f"label_{row['target']}"]
    return f"{short(row['target'], 20)}\ntruth {label:g}\nmodel {row['p_target']:.2f}"
