"""Panels: for each image the patch with its masks, then every explainer's map over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from xaibench.figures.base import COLUMN, PAGE, SMALL, blank, legend_below, style, title, wrapped
from xaibench.roc import class_names

MOST = 8  # images in one figure
SIGNED = "RdBu_r"
# From clear to dark red: nothing hides the patch where there is no relevance, and red means "for
# the class" as it does in the signed maps.
POSITIVE = ListedColormap(
    [(*colour[:3], 0.9 * at / 255) for at, colour in enumerate(colormaps["YlOrRd"](range(256)))]
)
OUTLINES = ("#F0E442", "#56B4E9", "#E69F00", "#FFFFFF")
OPACITY = 0.6
TEXT = 1.15  # inches left of the patch
ABREAST = 8  # explainers that fit a page
NARROWEST = 0.67  # inches a column; more explainers than fit a page make the figure wider


def draw(
    ids: Sequence[str],
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    predictions: pd.DataFrame,
    dataset: str = "",
    controls: Sequence[str] = (),
) -> Figure:
    """Return one row of panels an image, for the first ``MOST`` images.

    Args:
        images: (N, H, W, C), uint8 or floats in [0, 1].
        maps: explainer -> (N, H, W); a map that holds NaN is shown as failed.
        masks: name -> (N, H, W), outlined on the patch.
        predictions: one row an image, in the same order: ``target``, ``p_target``, ``predicted``
            and ``label``, or for several labels ``label_CLASS``; classes by name or by index.

    A map's colours end at the 99th percentile of its own |values|, so one hot pixel does not hide
    the rest; maps of an explainer with negative values are centred at 0.
    """
    ids = list(ids)[:MOST]
    signed = {name: bool(np.nanmin(np.append(m[: len(ids)], 0)) < 0) for name, m in maps.items()}
    side = np.clip((PAGE - TEXT) / (1 + len(maps)), NARROWEST, 1.2)
    with style():
        width = max(TEXT + side * (1 + len(maps)), COLUMN)
        figure = blank(width, max(side, 0.6) * len(ids) + 1.5)
        grid = figure.subplots(len(ids), 1 + len(maps), squeeze=False)
        for row, (axes, image) in enumerate(zip(grid, images, strict=False)):
            patch(axes[0], image, {name: mask[row] for name, mask in masks.items()})
            _say(axes[0], ids[row], predictions.iloc[row], class_names(predictions))
            for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
                overlay(ax, image, np.asarray(values[row]), signed[name])
        for ax, name in zip(grid[0], ["image", *maps], strict=True):
            control = "\n(control)" if name in controls else ""
            ax.set_title(wrapped(name, 11) + control, fontsize=SMALL)
        _keys(figure, grid, signed, list(masks))
        title(
            figure,
            f"{dataset}: maps of {len(set(ids))} images\n"
            "each map's colours end at q, the 99th percentile of its own |values|",
        )
    return figure


def truth(row: pd.Series, classes: list[str]) -> str:
    """Return the class, or of several labels those that are present."""
    if "label" in row:
        return _named(row["label"], classes)
    present = [name for name in classes if row.get(f"label_{name}") == 1]
    return ", ".join(present) or "none"


def _named(value: object, classes: list[str]) -> str:
    """Return the class of an index, or what was given if it is none (several labels, a number)."""
    if isinstance(value, Real) and float(value).is_integer() and 0 <= value < len(classes):
        return classes[int(value)]
    return str(value)


def _say(ax: Axes, image: str, row: pd.Series, classes: list[str]) -> None:
    target, predicted = (_named(row[column], classes) for column in ("target", "predicted"))
    of = "" if target == predicted else f"({short(target, 8)})"
    lines = [
        short(image, 18),
        f"true: {short(truth(row, classes), 12)}",
        f"model: {short(predicted, 11)}",
        f"p{of} = {row['p_target']:.2f}",
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


def short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) floats in [0, 1]; any number of channels but three is shown as its mean."""
    values = image / 255.0 if image.dtype == np.uint8 else np.clip(image, 0, 1)
    return values if values.shape[-1] == 3 else values.mean(axis=-1, keepdims=True).repeat(3, -1)


def patch(ax: Axes, image: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
    bare(ax)
    ax.imshow(as_rgb(image))
    outline(ax, masks)


def outline(ax: Axes, masks: Mapping[str, np.ndarray]) -> None:
    """Draw each mask's edge; one that covers the whole image is a frame."""
    coloured = list(zip(_outlines(masks), masks.items(), strict=True))
    # The largest first: where two edges meet, that of the smaller is the one looked for.
    for colour, (name, mask) in sorted(coloured, key=lambda each: -each[1][1].mean()):
        line = _line(name)
        if 0 < mask.mean() < 1:
            ax.contour(mask, levels=[0.5], colors=[colour], linewidths=1.1, linestyles=line)
        elif mask.any():
            size = (mask.shape[1] - 1, mask.shape[0] - 1)
            ax.add_patch(Rectangle((0, 0), *size, fill=False, ec=colour, lw=1.5, ls=line))


def overlay(ax: Axes, image: np.ndarray, values: np.ndarray, signed: bool) -> None:
    bare(ax)
    grey = as_rgb(image).mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=-0.3, vmax=1.2)  # pale, so that the map's colours stand out
    if not np.isfinite(values).all():
        note(ax, "failed")
        return
    cap = np.percentile(np.abs(values), 99) or np.abs(values).max() or 1.0
    if signed:
        ax.imshow(values, cmap=SIGNED, vmin=-cap, vmax=cap, alpha=OPACITY)
    else:
        ax.imshow(values, cmap=POSITIVE, vmin=0.0, vmax=cap)
    if values.min() == values.max():
        note(ax, "constant")


def note(ax: Axes, text: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=SMALL, bbox=box
    )


def bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def _outlines(masks: Mapping[str, np.ndarray] | list[str]) -> list[str]:
    return [OUTLINES[at % len(OUTLINES)] for at in range(len(masks))]


def _line(mask: str) -> str:
    return "--" if mask.endswith("_weak") else "-"


def _keys(figure: Figure, grid: np.ndarray, signed: Mapping[str, bool], masks: list[str]) -> None:
    """Add a colour bar for each kind of map, and a legend of the outlines."""
    kinds = sorted(set(signed.values()))
    shared = grid.ravel().tolist()
    for kind in kinds:
        norm = Normalize(-1 if kind else 0, 1)
        bar = figure.colorbar(
            ScalarMappable(norm, SIGNED if kind else POSITIVE),
            ax=shared,
            location="bottom",
            fraction=0.02,
            aspect=60,
            pad=0.01,
            alpha=OPACITY if kind else None,
        )
        ends = ["−q: against the class", "0", "q: for the class"]
        bar.set_ticks([-1, 0, 1] if kind else [0, 1], labels=ends if kind else ends[1:])
        for tick, side in zip(
            bar.ax.get_xticklabels()[:: 1 + kind], ("left", "right"), strict=True
        ):
            tick.set_ha(side)  # else the end labels would stick out of the figure
    legend_of_masks(figure, masks)


def legend_of_masks(figure: Figure, masks: list[str]) -> None:
    if not masks:
        return
    handles = [
        Line2D([], [], color=colour, ls=_line(name), lw=1.5)
        for colour, name in zip(_outlines(masks), masks, strict=True)
    ]
    names = [f"mask {m}{' (weak mask)' * m.endswith('_weak')}" for m in masks]
    legend_below(figure, handles, names)
