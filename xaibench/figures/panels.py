"""Panels: for each image the patch with its masks, then every explainer's map over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xaibench.figures import choice
from xaibench.figures.base import PAGE, pages, short, style, titled, wrapped
from xaibench.figures.pictures import (
    colour_bars,
    image_rows,
    is_signed,
    legend_of,
    outline,
    overlay,
)
from xaibench.leaderboards.board import ScoredRun

TEXT = 1.15  # inches left of the patch
ABREAST = 8  # explainers that fit a page
NARROWEST = 0.67  # inches a column; more explainers than fit a page make the figure wider


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``panels``, and ``panels_2`` and so on where the explainers do not fit one page;
    none without maps.
    """
    shown = choice.shown(run)
    if shown is None:
        return
    images, masks = choice.read(run, shown, "images"), choice.masks(run, shown)
    dataset = f"{run.dataset}{choice.of_first_seed(run)}"

    def page(names: Sequence[str]) -> Figure:
        maps = {name: choice.read(run, shown, f"maps/{name}") for name in names}
        return draw(images, maps, masks, shown, dataset, choice.controls_of(run))

    yield from pages("panels", choice.drawn(run), ABREAST, page)


@style()
def draw(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    shown: pd.DataFrame,
    dataset: str = "",
    controls: Sequence[str] = (),
) -> Figure:
    """Return one row of panels an image.

    Args:
        images: (N, H, W, C), uint8 or floats in [0, 1].
        maps: explainer -> (N, H, W); a map that holds NaN is shown as failed.
        masks: name -> (N, H, W), outlined on the patch.
        shown: one row an image, in the same order: ``image``, ``p_target``, and as text
            ``target``, ``predicted`` and ``truth``.

    A map's colours end at the 99th percentile of its own |values|, so one hot pixel does not hide
    the rest; maps of an explainer with negative values are centred at 0.
    """
    side = np.clip((PAGE - TEXT) / (1 + len(maps)), NARROWEST, 1.2)
    told = [_told(row) for _, row in shown.iterrows()]
    names = [wrapped(name, 11) + "\n(control)" * (name in controls) for name in maps]
    figure, axes = image_rows(images, told, names, side, TEXT, max(side, 0.6), 1.5)
    signed = {name: is_signed(values) for name, values in maps.items()}
    for at, (first, *others) in enumerate(axes):
        outline(first, {name: mask[at] for name, mask in masks.items()})
        for ax, (name, values) in zip(others, maps.items(), strict=True):
            overlay(ax, images[at], np.asarray(values[at]), signed[name])
    colour_bars(figure, axes, set(signed.values()))
    count = f"{shown['image'].nunique()} images"
    ends = "each map's colours end at q, the 99th percentile of its own |values|"
    return titled(figure, f"{dataset}: maps of {count}\n{ends}", legend_of(masks))


def _told(row: pd.Series) -> str:
    of = "" if row["target"] == row["predicted"] else f"({short(row['target'], 8)})"
    return (
        f"{short(row['image'], 18)}\ntrue: {short(row['truth'], 12)}\n"
        f"model: {short(row['predicted'], 11)}\np{of} = {row['p_target']:.2f}"
    )
