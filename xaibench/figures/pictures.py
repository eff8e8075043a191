"""Pictures without ticks: images as they are, maps over them, and the outlines of masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from xaibench.figures.base import BOX, COLUMN, SMALL, aside, grid, heads, swatch, write
from xaibench.leaderboards.names import is_weak, weakly

SIGNED = "RdBu_r"
# From clear to dark red: nothing hides the patch where there is no relevance, and red means "for
# the class" as it does in the signed maps.
POSITIVE = ListedColormap(
    [(*colour[:3], 0.9 * at / 255) for at, colour in enumerate(colormaps["YlOrRd"](range(256)))]
)
OPACITY = 0.6
OUTLINES = ("#F0E442", "#56B4E9", "#E69F00")
OVER_MAPS = (*OUTLINES, "#FFFFFF")
ON_SHEETS = (*OUTLINES, "#FF5FA2")


def bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def picture(ax: Axes, image: np.ndarray, below: str = "", **look: object) -> None:
    """Draw an image (H, W) or (H, W, C) as it is, between black and white, with a text below."""
    bare(ax)
    ax.set_xlabel(below, fontsize=SMALL, **look)
    grey = image.ndim == 2 or image.shape[-1] == 1
    top = 255 if image.dtype == np.uint8 else 1
    if grey:
        ax.imshow(image.reshape(image.shape[:2]), cmap="gray", vmin=0, vmax=top)
    else:
        ax.imshow(image if top == 255 else np.clip(image, 0, 1))


def patch(ax: Axes, image: np.ndarray) -> None:
    """Draw an image (H, W, C) of any number of channels, see ``as_rgb``, without ticks."""
    bare(ax)
    ax.imshow(as_rgb(image))


def in_unit(image: np.ndarray) -> np.ndarray:
    """Return an image's channels as floats in [0, 1]."""
    return image / 255.0 if image.dtype == np.uint8 else np.clip(image, 0, 1)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) floats in [0, 1]; any number of channels but three is shown as its mean."""
    values = in_unit(image)
    return values if values.shape[-1] == 3 else values.mean(axis=-1, keepdims=True).repeat(3, -1)


def is_signed(maps: np.ndarray) -> bool:
    """Say whether an explainer's maps hold negative values."""
    return bool(np.nanmin(np.append(maps, 0)) < 0)


def overlay(ax: Axes, image: np.ndarray, values: np.ndarray, signed: bool) -> None:
    """Draw a map (H, W) over an image (H, W, C); say so where it failed or is constant."""
    pale(ax, image)
    if not np.isfinite(values).all():
        note(ax, "failed")
        return
    heat(ax, values, signed)
    if values.min() == values.max():
        note(ax, "constant")


def pale(ax: Axes, image: np.ndarray) -> None:
    """Draw an image in pale grey, so that the colours over it stand out."""
    bare(ax)
    ax.imshow(as_rgb(image).mean(axis=-1), cmap="gray", vmin=-0.3, vmax=1.2)


def heat(ax: Axes, values: np.ndarray, signed: bool = False) -> float:
    """Draw a map (H, W) in colours that end at the 99th percentile of its own |values|; return it.

    So one hot pixel does not hide the rest. A signed map is centred at 0.
    """
    cap = np.percentile(np.abs(values), 99) or np.abs(values).max() or 1.0
    if signed:
        ax.imshow(values, cmap=SIGNED, vmin=-cap, vmax=cap, alpha=OPACITY)
    else:
        ax.imshow(values, cmap=POSITIVE, vmin=0.0, vmax=cap)
    return cap


def note(ax: Axes, text: str) -> None:
    """Write into the middle of an axes."""
    write(ax, 0.5, 0.5, text, transform=ax.transAxes, bbox={**BOX, "pad": 1.0})


def colour_bars(figure: Figure, axes: np.ndarray, kinds: set[bool]) -> None:
    """Add a colour bar for each kind of map, signed or not, under all axes."""
    for signed in sorted(kinds):
        colours = ScalarMappable(Normalize(-1 if signed else 0, 1), SIGNED if signed else POSITIVE)
        look = {"location": "bottom", "fraction": 0.02, "aspect": 60, "pad": 0.01}
        opacity = OPACITY if signed else None
        bar = figure.colorbar(colours, ax=axes.ravel().tolist(), alpha=opacity, **look)
        ends = ["−q: against the class", "0", "q: for the class"]
        bar.set_ticks([-1, 0, 1] if signed else [0, 1], labels=ends if signed else ends[1:])
        first, *_, last = bar.ax.get_xticklabels()
        first.set_ha("left")  # else the end labels would stick out of the figure
        last.set_ha("right")


def image_rows(
    images: Sequence[np.ndarray],
    told: Sequence[str],
    names: Sequence[str],
    side: float,
    room: float,
    each: float,
    rest: float,
) -> tuple[Figure, np.ndarray]:
    """Return a figure with a row an image, and its axes: the image, and one for each of ``names``.

    Args:
        images: (N, H, W, C).
        told: what stands left of each image, where ``room`` inches are left for it.
        names: the titles of the columns behind that of the images.
        side: inches of a column; ``each``, ``rest``: see ``grid``.
    """
    columns = 1 + len(names)
    width = max(COLUMN, room + side * columns)
    figure, axes = grid(len(images) * columns, columns, each, rest, width)
    axes = axes.reshape(-1, columns)
    for ax, image, text in zip(axes[:, 0], images, told, strict=True):
        patch(ax, image)
        aside(ax, text, (0, 0.5), (4 - room * 72, 0), va="center")
    heads(axes[0], ["image", *names])
    return figure, axes


def lines_of(masks: Iterable[str], palette: Sequence[str] = OVER_MAPS) -> dict[str, dict[str, str]]:
    """Return each mask's colour and line; a weak one is dashed."""
    colours = zip(masks, cycle(palette))
    return {name: {"color": c, "ls": "--" if is_weak(name) else "-"} for name, c in colours}


def legend_of(masks: Iterable[str], palette: Sequence[str] = OVER_MAPS) -> dict[str, Line2D]:
    """Return what a legend says of masks."""
    lines = lines_of(masks, palette)
    return {f"mask {m}{weakly(m)}": swatch(**line, lw=1.5) for m, line in lines.items()}


def outline(ax: Axes, masks: Mapping[str, np.ndarray]) -> None:
    """Draw the edge of each mask (H, W) on a map; one that covers the whole image is a frame."""
    lines = lines_of(masks)
    # The largest first: where two edges meet, that of the smaller is the one looked for.
    for name, mask in sorted(masks.items(), key=lambda each: -each[1].mean()):
        if 0 < mask.mean() < 1:
            ax.contour(mask, **contour(**lines[name]))
        elif mask.any():
            size = (mask.shape[1] - 1, mask.shape[0] - 1)
            ax.add_patch(Rectangle((0, 0), *size, fill=False, lw=1.5, **lines[name]))


def border(ax: Axes, mask: np.ndarray, color: str, ls: str = "-") -> None:
    """Draw the border of a mask (H, W) on its own side of the pixels' edges."""
    if mask.any():
        # A rim of nothing closes outlines at the picture's edge.
        rows, columns = (np.arange(-1, side + 1) for side in mask.shape)
        ax.contour(columns, rows, np.pad(mask.astype(float), 1), **contour(color, ls))
        ax.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def contour(color: str, ls: str) -> dict[str, object]:
    return {"levels": [0.5], "colors": [color], "linewidths": 1.1, "linestyles": ls}
