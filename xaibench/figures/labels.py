"""Names beside points, where they cover neither each other nor the points."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from xaibench.figures.base import SMALL, wrapped

DISTANCES = (5.0, 7.0, 9.0, 12.0, 15.0, 19.0, 24.0, 30.0, 38.0, 48.0)  # points from a marker
DIRECTIONS = 24
FAR = 10.0  # points: a name farther off than this is led to by a thin line
HALF = 3.5  # points from a marker's centre to its edge, with some air
CROSSED = 40.0  # square points: what a leading line that crosses something counts as much as
FARTHER = 1.0  # square points that a name may cover to stand one point nearer


def place(ax: Axes, points: pd.DataFrame, path: np.ndarray) -> None:
    """Write the points' names into an axes whose limits and layout are done.

    Each name takes the place around its point where it and the line that leads to it cover least:
    of the markers, the intervals, the names before it, ``path``, and what lies outside the axes;
    the nearest of equal ones. The most crowded points choose first.

    Args:
        points: ``name``, ``x`` and ``y`` of each, in the units of the axes; ``low`` and ``high``,
            the ends of its upright interval, both ``y`` where there is none; ``colour``. Those
            without a name are merely not to be covered.
        path: (V, 2), the corners of a line of level and upright pieces, in the units of the axes.
    """
    scale = ax.figure.dpi / 72  # pixels in a point: all below is reckoned in points
    centres, lows, highs = (
        ax.transData.transform(points[["x", y]].to_numpy()) / scale for y in ("y", "low", "high")
    )
    corners = ax.transData.transform(path) / scale if len(path) else path
    # What a name must not cover: of each point the marker and the interval, then the path.
    own = np.stack([_around(centres, centres, HALF), _around(lows, highs, 2.0)], axis=1)
    taken = np.vstack([own.reshape(-1, 4), _around(corners[:-1], corners[1:], 1.0)])
    inside = ax.get_window_extent().extents / scale
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)
    for at in np.argsort(distances.mean(axis=1), kind="stable"):
        point = points.iloc[at]
        if pd.isna(point["name"]):
            continue
        style = {"ha": "center", "va": "center", "fontsize": SMALL, "color": "0.15"}
        style |= {"linespacing": 0.95, "textcoords": "offset points"}
        x, y = point[["x", "y"]]
        name = wrapped(point["name"], 12)
        trial = ax.annotate(name, (x, y), (0, 0), **style)
        size = trial.get_window_extent().size / scale
        trial.remove()
        step, led = _best(at, centres, size, taken, inside)
        line = {"arrowstyle": "-", "lw": 0.5, "shrinkA": 0, "shrinkB": HALF}
        style["arrowprops"] = {"color": point["colour"], **line} if led else None
        text = ax.annotate(name, (x, y), tuple(step), **style)
        text.set_in_layout(False)  # the layout is done, and names must not move the points again
        middle = centres[at] + step
        taken = np.vstack([taken, _around(middle - size / 2, middle + size / 2, 0.0)])


def _around(one: np.ndarray, other: np.ndarray, air: float) -> np.ndarray:
    """Return the box between two points, with air around: left, bottom, right, top; (..., 4)."""
    return np.hstack([np.minimum(one, other) - air, np.maximum(one, other) + air])


def _best(
    at: int, centres: np.ndarray, size: np.ndarray, taken: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Return the step from a point to its name's centre, and whether a line must lead there.

    Such a line may cross what is taken, but had better not; its own point and interval are none
    of it. A name that stands nearer to another point needs one.
    """
    centre, others = centres[at], np.delete(centres, at, axis=0)
    crossable = np.delete(taken, [2 * at, 2 * at + 1], axis=0)
    turns = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    around = np.column_stack([np.cos(turns), np.sin(turns)])
    distances = np.repeat(DISTANCES, DIRECTIONS)
    steps = np.tile(around, (len(DISTANCES), 1)) * (distances[:, None] + size / 2)
    boxes = np.hstack([centre + steps - size / 2, centre + steps + size / 2])
    own = _gaps(boxes, centre[None])[:, 0]
    nearest = _gaps(boxes, others).min(axis=1, initial=np.inf)
    led = (own > FAR) | (nearest < own + 1)
    along = np.linspace(0.05, 0.8, 16)[:, None, None]
    crossed = _contain(crossable, centre + along * steps).any(axis=0).sum(axis=1)
    outside = size.prod() - _shared(boxes, inside[None])[:, 0]
    covered = _shared(boxes, taken).sum(axis=1) + 10 * outside + CROSSED * led * crossed
    best = int(np.argmin(covered + FARTHER * distances))
    return steps[best], bool(led[best])


def _gaps(boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the distances from (N, 4) boxes to (M, 2) places: (N, M), 0 inside."""
    low, high = boxes[:, None, :2] - places, places - boxes[:, None, 2:]
    return np.linalg.norm(np.maximum(np.maximum(low, high), 0), axis=2)


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the areas that (N, 4) boxes share with (M, 4) others: (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(axis=2)


def _contain(boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Say which of (M, 4) boxes hold which of (..., 2) places: (..., M)."""
    places = places[..., None, :]
    return ((places >= boxes[:, :2]) & (places <= boxes[:, 2:])).all(axis=-1)
