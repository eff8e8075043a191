"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def page(
    heading: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    notes: Sequence[str] = (),
    numbers: bool = True,
) -> str:
    """Return a heading, a table and notes below it.

    Args:
        numbers: set all columns but the first to the right.
    """
    safe = lambda cells: [str(cell).replace("|", "\\|") for cell in cells]
    aligned = [":--", *["--:" if numbers else ":--"] * (len(head) - 1)]
    lines = [f"## {heading}", "", pipes(safe(head)), pipes(aligned)]
    lines += [pipes(safe(row)) for row in rows]
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)]) + "\n"
