"""One style for every figure: sizes, fonts, colours; and one way to save.

A figure is made with ``matplotlib.figure.Figure``, never through pyplot: no window, no state that
outlives it. Widths are those of a paper's column and page; no text is below ``SMALL`` points.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaibench.atomic import replacing

COLUMN = 3.5  # inches
PAGE = 7.2  # inches
SMALL = 7.0  # points
DPI = 200

# These keep their colour in every figure of every run; others get what is left, by name.
FIRST_COLOURS = (
    "grad_cam",
    "square_occlusion",
    "superpixel_occlusion",
    "integrated_gradients",
    "lime",
    "cam",
)
GREYS = ("0.35", "0.6", "0.75")
MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Look:
    """How one explainer is drawn everywhere."""

    colour: str | tuple[float, float, float]
    line: str
    marker: str


def looks(explainers: Iterable[str], controls: Collection[str] = ()) -> dict[str, Look]:
    """Return each explainer's look: controls grey and dashed, others colour-blind-safe and solid.

    The palette has ten colours; from the eleventh explainer on the marker tells them apart.
    """
    names = list(dict.fromkeys(explainers))
    palette = sns.color_palette("colorblind", 10)
    palette = [palette[i] for i in (0, 1, 2, 3, 4, 9, 5, 6, 8, 7)]  # pale yellow and grey last
    places = {name: place for place, name in enumerate(FIRST_COLOURS)}
    new = sorted(set(names) - set(places) - set(controls))
    places |= {name: len(FIRST_COLOURS) + at for at, name in enumerate(new)}
    found = {}
    for name in names:
        if name in controls:
            at = sorted(controls).index(name)
            found[name] = Look(GREYS[at % len(GREYS)], "--", "o")
        else:
            colour = palette[places[name] % len(palette)]
            found[name] = Look(colour, "-", MARKERS[places[name] % len(MARKERS)])
    return found


@contextmanager
def style() -> Iterator[None]:
    """Set the theme inside the block, and the user's own settings again behind it."""
    sizes = {
        "font.size": 7.5,
        "axes.titlesize": 8,
        "axes.labelsize": 7.5,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "figure.titlesize": 8.5,
    }
    lines = {"axes.linewidth": 0.6, "lines.linewidth": 1.2, "grid.linewidth": 0.4}
    # Type 42 keeps text as text in the PDF: journals refuse type 3.
    files = {"pdf.fonttype": 42, "svg.hashsalt": "xaibench", "font.family": ["DejaVu Sans"]}
    with mpl.rc_context({**sns.axes_style("whitegrid"), **sizes, **lines, **files}):
        yield


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of that many inches whose parts make room for each other."""
    return Figure(figsize=(width, height), layout="constrained")


def title(figure: Figure, text: str) -> None:
    """Put a title over the figure, in as many lines as its width asks for."""
    letters = int(figure.get_figwidth() * 72 / (8.5 * 0.6))  # a letter is about 0.6 of its size
    figure.suptitle("\n".join(textwrap.fill(line, letters) for line in text.split("\n")))


def legend_below(figure: Figure, handles: list, labels: list[str]) -> None:
    """Put one legend under all axes, where it cannot lie on data, in the columns that fit."""
    widest = max(map(len, labels)) * SMALL * 0.6 + 30  # points, with the handle
    columns = min(len(labels), max(1, int(figure.get_figwidth() * 72 / widest)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def unused(axes: Iterable[Axes]) -> None:
    """Hide axes that a grid has too many of."""
    for ax in axes:
        ax.set_axis_off()


def wrapped(name: str, width: int = 14) -> str:
    """Break a name at ``_`` and ``@`` into lines of about ``width`` letters.

    >>> wrapped("superpixel_occlusion")
    'superpixel_\\nocclusion'
    """
    lines = [""]
    for part in name.replace("_", "_\0").replace("@", "\0@").split("\0"):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.png`` (200 dpi) and ``name.pdf``, each whole or not at all; clear the figure.

    The same figure gives the same bytes: no date is written.
    """
    undated = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    with style():
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # found once, for both files: it takes most of the time
    paths = []
    for ending, metadata in undated.items():
        with style(), replacing(folder / f"{name}.{ending}") as file:
            figure.savefig(file, format=ending, dpi=DPI, metadata=metadata)
        paths.append(folder / f"{name}.{ending}")
    figure.clear()
    return paths
