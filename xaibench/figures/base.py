"""One style for every figure: sizes and fonts, grids, words, legends; and one way to save.

A figure is made with ``matplotlib.figure.Figure``, never through pyplot: no window, no state that
outlives it. Widths are those of a paper's column and page; no text is below ``SMALL`` points.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator
from PIL import Image

from xaibench.atomic import replacing
from xaibench.types import FigureFormat

COLUMN = 3.5  # inches
PAGE = 7.2  # inches
SMALL = 7.0  # points
DPI = 200
BOX = {"facecolor": "white", "edgecolor": "none"}  # behind a text


@contextmanager
def style() -> Iterator[None]:
    """Set the theme inside the block, and the user's own settings again behind it.

    ``@style()`` over a function makes the function the block.
    """
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
    names = {"text.parse_math": False}  # of images and classes, in which $ is no formula
    with (
        mpl.rc_context({**sns.axes_style("whitegrid"), **sizes, **lines, **files, **names}),
        warnings.catch_warnings(),
    ):
        # A name in letters that the font lacks is drawn as boxes; the tables have it.
        warnings.filterwarnings("ignore", r"(Glyph \d+|Matplotlib currently does not support)")
        yield


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of that many inches whose parts make room for each other."""
    return Figure(figsize=(width, height), layout="constrained")


def grid(
    count: int, across: int, each: float, rest: float, width: float | None = None, **shared: object
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its ``count`` axes, row by row; those too many in the last are hidden.

    Args:
        across: axes in a row.
        each: inches of a row.
        rest: inches of title and legend.
        width: by default a page, for one axes a row a column.
        shared: what ``Figure.subplots`` takes besides.
    """
    down = max(-(-count // across), 1)
    figure = blank(width or (PAGE if across > 1 else COLUMN), each * down + rest)
    axes = figure.subplots(down, across, squeeze=False, **shared).ravel()
    hide(axes[count:])
    return figure, axes[:count]


def hide(axes: np.ndarray) -> None:
    """Hide axes that a grid has too many of."""
    for ax in axes:
        ax.set_axis_off()


def heads(axes: np.ndarray, names: Sequence[str], **more: object) -> None:
    """Put small titles over the columns of a grid."""
    for ax, name in zip(axes, names, strict=True):
        ax.set_title(name, **{"fontsize": SMALL, **more})


def write(ax: Axes, x: float, y: float, text: str, **look: object) -> None:
    """Write a small text into an axes, around that place where ``look`` says nothing else."""
    ax.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": SMALL, **look})


def aside(
    ax: Axes, text: str, corner: tuple[float, float], shift: tuple[float, float], **look: object
) -> Annotation:
    """Write a small text outside an axes: so many points from a place in fractions of its sides."""
    look = {"fontsize": SMALL, "textcoords": "offset points", **look}
    return ax.annotate(text, corner, shift, xycoords="axes fraction", **look)


def swatch(**look: object) -> Line2D:
    """Return a piece of line with a marker, as it stands in a legend."""
    return Line2D([], [], **look)


def titled(figure: Figure, title: str, legend: Mapping[str, Line2D] | None = None) -> Figure:
    """Put a title over the figure and one legend under all axes, where it cannot lie on data.

    The title has as many lines, the legend as many columns as the width allows.

    Args:
        legend: name -> what stands before it; nothing needs no legend.
    """
    width = figure.get_figwidth() * 72  # points
    letters = int(width / (8.5 * 0.6))  # a letter is about 0.6 of its size
    figure.suptitle("\n".join(textwrap.fill(line, letters) for line in title.split("\n")))
    if legend:
        widest = max(map(len, legend)) * SMALL * 0.6 + 30  # points, with the handle
        columns = min(len(legend), max(1, int(width / widest)))
        below = {"loc": "outside lower center", "ncols": columns, "frameon": False}
        figure.legend(list(legend.values()), list(legend), **below)
    return figure


def pages(
    name: str, items: Sequence, most: int, page: Callable[[Sequence], Figure]
) -> Iterator[tuple[str, Figure]]:
    """Yield ``name``, ``name_2``, …, each with what ``page`` draws of the next ``most`` items."""
    for start in range(0, len(items), most):
        number = f"_{start // most + 1}" if start else ""
        yield f"{name}{number}", page(items[start : start + most])


def wrapped(name: str, width: int = 14) -> str:
    """Break a name at ``_`` and ``@`` into lines of about ``width`` letters.

    >>> wrapped("superpixel_occlusion")
    'superpixel_\\nocclusion'
    """
    return "\n".join(packed(name.replace("_", "_\0").replace("@", "\0@").split("\0"), width))


def packed(parts: Sequence[str], letters: int, glue: str = "") -> list[str]:
    """Return parts on lines of at most so many ``letters``, if no part alone is longer."""
    lines = [parts[0]]
    for part in parts[1:]:
        if lines[-1] and len(lines[-1] + glue + part) > letters:
            lines.append(part)
        else:
            lines[-1] += glue + part
    return lines


def short(text: object, letters: int) -> str:
    """Return a text with its end left out where it is longer than ``letters``."""
    told = str(text)
    return told if len(told) <= letters else f"{told[: letters - 1]}…"


def shortened(name: str, letters: int) -> str:
    """Return a name with its middle left out where it is longer than ``letters``."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[-half:]}"


def span(few: int, most: int) -> str:
    """Return ``few to most``, or one number where they are the same."""
    return f"{most}" if few == most else f"{few} to {most}"


def save(
    figure: Figure, folder: Path, name: str, formats: Collection[FigureFormat] = ("png",)
) -> list[Path]:
    """Write ``name.png`` (200 dpi) and what else is asked for, each whole or not at all.

    The same figure gives the same bytes: no date is written.
    """
    figure.set_dpi(DPI)
    with style():
        laid_out(figure)
    figure.set_layout_engine("none")  # found once, for all files
    paths = []
    for ending in formats:
        with style(), replacing(folder / f"{name}.{ending}") as file:
            _WRITERS[ending](figure, file)
        paths.append(folder / f"{name}.{ending}")
    return paths


def laid_out(figure: Figure) -> None:
    """Make the parts of a figure make room for each other, now; what takes no room is not asked."""
    for ax in figure.axes:
        for spine in ax.spines.values():
            spine.set_in_layout(False)
        for axis in (ax.xaxis, ax.yaxis):
            ticks = axis.get_major_locator()
            bare = isinstance(ticks, FixedLocator) and not len(ticks.locs)
            if bare and not axis.get_label_text():
                axis.set_visible(False)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def _write_png(figure: Figure, file: Path) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Nothing is transparent, and level 3 packs as well as 6 does what is drawn, in half the time.
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels.save(file, "PNG", dpi=(DPI, DPI), compress_level=3)


def _write_pdf(figure: Figure, file: Path) -> None:
    from matplotlib.backends.backend_pdf import FigureCanvasPdf  # for who asks for it alone

    FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None})


def _write_svg(figure: Figure, file: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})


# By the canvas of a format: ``Figure.savefig`` draws twice where there was a layout.
_WRITERS: dict[FigureFormat, Callable[[Figure, Path], None]] = {
    "png": _write_png,
    "pdf": _write_pdf,
    "svg": _write_svg,
}
