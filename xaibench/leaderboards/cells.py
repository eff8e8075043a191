"""What a leaderboard says of one explainer under one metric, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from xaibench.leaderboards.captions import MARKS, TURNS
from xaibench.leaderboards.latex import stacked_tex, tex

DASH = "–"


@dataclass(frozen=True)
class Cell:
    """A cell's parts.

    Attributes:
        value: mean and interval, or why there is none.
        best: whether it stands for the best tie group.
        letters: of its tie groups.
        signs: of what it does not pass.
        count: ``n=21/24`` where some values are missing.
        untested: why it was not tested.
    """

    value: str
    best: bool = False
    letters: str = ""
    signs: str = ""
    count: str = ""
    untested: str = ""

    @classmethod
    def of(cls, row: Mapping[str, object] | None) -> Cell:
        """Return the cell of a row of the summary; None: the explainer was not run with it."""
        if row is None:
            return cls(f"{DASH} (not run)")
        if not row["n"]:
            reason = row["reason"] if pd.notna(row["reason"]) else "no value"
            return cls(f"{DASH} ({textwrap.shorten(reason, 60)})")
        spread = f"{row['low']:.3f}, {row['high']:.3f}" if pd.notna(row["low"]) else DASH
        signs = "".join(
            sign for column, (sign, _) in MARKS.items() if pd.notna(row[column]) and not row[column]
        )
        defined = row["rows"] - row["undefined"]
        return cls(
            f"{row['mean']:.3f} [{spread}]",
            bool(row["best"]),
            row["letters"],
            signs + TURNS * bool(row["turns"]),
            "" if row["n"] == defined else f"n={row['n']}/{defined}",
            "" if pd.isna(row["untested"]) else row["untested"],
        )

    def text(self, bold: str = "**{}**") -> str:
        """Return it in one line; ``bold`` is a template for the best."""
        value = bold.format(self.value) if self.best else self.value
        marks = f"{' ' * bool(self.letters)}{self.letters}{self.signs}"
        why = f"{DASH} {self.untested}" if self.untested else ""
        return " ".join(filter(None, [value + marks, self.count, why]))

    def latex(self) -> str:
        """Return it for LaTeX: letters and signs raised, all but the value below it."""
        value = tex(f"<b>{self.value}</b>" if self.best else self.value)
        if self.letters:
            value += rf"\textsuperscript{{{self.letters}}}"
        return stacked_tex([value + tex(self.signs), *map(tex, self._below)])

    @property
    def lines(self) -> int:
        """How many lines it takes in LaTeX."""
        return 1 + len(self._below)

    @property
    def _below(self) -> list[str]:
        parts = [self.count, *self.untested.replace(" (", "\n(").split("\n")]
        return [part for part in parts if part]
