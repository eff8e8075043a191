"""Text as LaTeX prints it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

TEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "°": r"$^{\circ}$",
        "†": r"$^{\dagger}$",
        "‡": r"$^{\ddagger}$",
        "⇄": r"$^{\rightleftharpoons}$",
        "≤": r"$\leq$",
        "–": "--",
        "—": "---",
        "×": r"$\times$",
        "|": r"\textbar{}",
    },
    **{"<b>": r"\textbf{", "</b>": "}", "<": r"\textless{}", ">": r"\textgreater{}", "\n": " "},
}
_PATTERN = re.compile("|".join(map(re.escape, sorted(TEX, key=len, reverse=True))))


def tex(text: str) -> str:
    """Return text that LaTeX prints as it stands; ``<b>`` makes bold, `` `x` `` a typewriter."""
    text = _PATTERN.sub(lambda found: TEX[found[0]], text)
    text = re.sub(r"`([^`]*)`", r"\\texttt{\1}", text)
    return re.sub(r"-(?=\d+\.\d{3})", "$-$", text)


def stacked(lines: Iterable[str]) -> str:
    """Return lines of text above each other in one cell."""
    return r"\shortstack{" + r"\\".join(map(tex, lines)) + "}"


def stacked_tex(lines: Sequence[str]) -> str:
    """Return lines of LaTeX below the first in one cell; one line as it is."""
    if len(lines) == 1:
        return lines[0]
    return r"\begin{tabular}[t]{@{}c@{}}" + r"\\".join(lines) + r"\end{tabular}"
