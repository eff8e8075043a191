"""How each explainer looks, the same in every figure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import seaborn as sns

from xaibench.figures.base import packed
from xaibench.leaderboards.names import arrow, as_control

# These keep their colour in every figure of every run; others get what is left, by name.
FIRST_COLOURS = (
    *("grad_cam", "square_occlusion", "superpixel_occlusion"),
    *("integrated_gradients", "lime", "cam"),
)
GREYS = ("0.35", "0.6", "0.75")
MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Look:
    """How one explainer is drawn everywhere, and named: a control is said to be one."""

    name: str
    colour: str | tuple[float, float, float]
    line: str
    marker: str


def looks(explainers: Iterable[str], controls: Collection[str] = ()) -> dict[str, Look]:
    """Return each explainer's look: controls grey and dashed, others colour-blind-safe and solid.

    The palette has nine colours, none of them grey; from the tenth explainer on the marker tells
    them apart.
    """
    names = list(dict.fromkeys(explainers))
    palette = sns.color_palette("colorblind", 10)
    palette = [palette[i] for i in (0, 1, 2, 3, 4, 9, 5, 6, 8)]  # pale yellow last, grey not at all
    places = {name: place for place, name in enumerate(FIRST_COLOURS)}
    new = sorted(set(names) - set(places) - set(controls))
    places |= {name: len(FIRST_COLOURS) + at for at, name in enumerate(new)}
    found = {}
    for name in names:
        told = as_control(name, name in controls)
        if name in controls:
            at = sorted(controls).index(name)
            found[name] = Look(told, GREYS[at % len(GREYS)], "--", "o")
        else:
            colour = palette[places[name] % len(palette)]
            found[name] = Look(told, colour, "-", MARKERS[places[name] % len(MARKERS)])
    return found


def looks_in(table: pd.DataFrame) -> dict[str, Look]:
    """Return the look of each ``explainer`` of a table, those that are a ``control`` last."""
    roles = table.drop_duplicates("explainer").sort_values("control", kind="stable")
    return looks(roles["explainer"], list(roles.loc[roles["control"], "explainer"]))


def head(metric: str, higher_is_better: bool | None, letters: int) -> str:
    """Return a metric's name for over its panel, with the better direction.

    A name of more than so many letters is broken before its ``@``.
    """
    parts = [part for part in re.split("(?=@)", metric, maxsplit=1) if part]
    return "\n".join(packed(parts, letters)) + arrow(higher_is_better)


def ink(behind: Sequence[float]) -> str:
    """Return the colour of letters that can be read on a colour (red, green, blue, … in [0, 1])."""
    red, green, blue, *_ = behind
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black"
