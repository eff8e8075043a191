"""Markdown tables of the JSON files, renewed between two markers of a page."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from xaibench.atomic import write_text

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_COLUMNS = (
    "method",
    "implementation",
    "s/image",
    "passes",
    "× limit",
    "× ours",
    "difference",
    "note",
)


def renew(page: Path, results: Path) -> None:
    """Write the tables of all JSON files of a folder between the page's markers.

    A file with a page of its own beside it (``NAME.md``) has its tables there.

    Raises:
        ValueError: the page lacks the markers.
    """
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the lines {BEGIN} and {END}, in this order")
    files = [p for p in sorted(results.glob("*.json")) if not p.with_suffix(".md").exists()]
    parts = [_with_figure(render(json.loads(p.read_text())), p, page) for p in files]
    body = "\n\n".join(parts) or "No figures yet."
    write_text(page, f"{head}{BEGIN}\n\n{body}\n\n{END}{tail}")


def write_page(record: Mapping, path: Path) -> Path:
    """Write all tables of a record as Markdown; returns the path."""
    write_text(path, f"{_with_figure(render(record), path, path)}\n")
    return path


def render(record: Mapping) -> str:
    """Return a machine's tables, one a size."""
    about = record["machine"]
    where = f"{about['threads']} threads" if about["device"] == "cpu" else f"CUDA {about['cuda']}"
    parts = [f"### {about['name']}, {where}"]
    for size in dict.fromkeys(row["size"] for row in record["rows"]):
        parts.append(_size_table(size, [r for r in record["rows"] if r["size"] == size]))
    parts += [str(section["table"]) for section in record.values() if _has_table(section)]
    return "\n\n".join(parts)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar within a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def number(value: float | None, form: str = ".3g") -> str:
    """Return a figure, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def line(row: Mapping) -> list[str]:
    """Return a row's cells: what is printed when it was measured, and what the table shows."""
    passes = number(row["forward_passes"], ".0f")
    if row["backward_passes"]:
        passes += f" + {row['backward_passes']:.0f} back"
    return [
        row["method"],
        row["implementation"],
        number(row["seconds_an_image"]),
        passes,
        number(row["times_limit"], ".2f"),
        number(row["times_ours"], ".2f"),
        number(row["difference"], ".1e"),
        row["note"],
    ]


def _with_figure(tables: str, record: Path, page: Path) -> str:
    """Return a record's tables, the figure that lies beside it below their title."""
    figure = record.with_suffix(".png")
    if not figure.exists():
        return tables
    title, _, rest = tables.partition("\n\n")
    where = Path(os.path.relpath(figure, page.parent)).as_posix()
    alt = "Methods by their time beside bare passes, ours and every peer, a panel for each network"
    return f"{title}\n\n![{alt}]({where})\n\n{rest}"


def _size_table(size: str, rows: Sequence[Mapping]) -> str:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    # Ours first, also where it was measured anew after its peers.
    rows = sorted(
        rows,
        key=lambda r: (methods.index(r["method"]), not r["implementation"].startswith("xaibench")),
    )
    bare = [1 / median(r["bare"]) for r in rows if r["bare"]]
    said = {r["method"]: f"{r['images']} × {r['parameters']}" for r in rows}
    versions = dict(sorted(item for row in rows for item in row["versions"].items() if item[1]))
    facts = [
        f"**{size}**: {rows[0]['source']}; bare passes a second {min(bare):.0f}-{max(bare):.0f}; "
        f"{max(len(r['seconds']) for r in rows)} repetitions; "
        f"measured {min(r['date'] for r in rows)} to {max(r['date'] for r in rows)} with "
        + ", ".join(f"{name} {v}" for name, v in versions.items()),
        "Images × parameters: " + "; ".join(f"{k}: {v}" for k, v in said.items()) + ".",
        markdown(_COLUMNS, [line(row) for row in rows]),
    ]
    return "\n\n".join(facts)


def _has_table(section: object) -> bool:
    return isinstance(section, Mapping) and "table" in section
