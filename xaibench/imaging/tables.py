"""Tables of any of the formats that people keep them in, as columns of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from xaibench.errors import UserError, nearest
from xaibench.imaging.table_columns import Columns
from xaibench.imaging.table_stores import parquet_columns, workbook_rows
from xaibench.imaging.table_text import SEPARATORS, Row, TableText, unreadable

NOT_AVAILABLE = frozenset(
    {"NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "-nan", "-NaN", "NULL", "null"}
)
"""What other programs write for a number that is missing."""

_SHOWN = 12  # columns named in an error
_COMMA = re.compile(r"[-+]?\d*,\d+")
_EXCEL, _PARQUET = b"PK\x03\x04", b"PAR1"
# What a file begins with says more than its name does.
_NO_TABLE = (
    (b"\xd0\xcf\x11\xe0", "it is an Excel file of the old kind", "save it as .xlsx or CSV"),
    (b"\x1f\x8b", "it is packed by gzip", "unpack it"),
    (b"\x89HDF", "it is an HDF5 file", "write it as CSV"),
    (b"%PDF", "it is a PDF", "save the table as CSV"),
)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a table of text: CSV, TSV, ``.xlsx`` (its first sheet) or Parquet, told by content.

    Separator (comma, semicolon, tab or bar) and encoding (UTF-8, UTF-16, Windows-1252) are told
    from the file. Spaces around names and cells are taken off, an empty cell is NaN. Empty rows are
    left out, and columns without a name: the first may hold something. Text stays as it is: a
    patient ``001`` keeps its zeros, a class ``None`` its name; `numbers` makes numbers of a column.

    Args:
        columns: that there must be; more may be there, and all are returned.

    Returns:
        Columns of objects. The index, ``line``, is where a row begins in the file (the header is
        mostly 1); of Parquet, its number, from 1.

    Raises:
        UserError: the file cannot be read, has no row, lacks a column or has one twice, or a row
            has more cells than the header; the message names file, line and column.
    """
    table = _columns(path, columns or ())
    names = [name.strip() for name in table.header]
    _check_names(path, table.line, [name for name in names if name], columns or ())
    _check_cells(path, table, names, columns or ())
    if not len(table.lines):
        raise unreadable(path, "it has no row below its header")
    index = pd.Index(table.lines, name="line")
    found = {name: table.column(at) for at, name in enumerate(names) if name}
    return pd.DataFrame(found, index, dtype=object)


def _columns(path: Path, columns: Sequence[str]) -> Columns:
    begin = _begin(path)
    if begin.startswith(_PARQUET):
        header, arrays = parquet_columns(path)
        lines = np.arange(1, 1 + len(arrays[0]) if arrays else 1)
        return Columns.of_arrays(0, header, lines, arrays)
    if begin.startswith(_EXCEL) or _no_table(begin):
        return Columns.of_rows(rows_of(path, columns))
    return Columns.of_text(TableText.read(path, columns))


def _check_cells(path: Path, table: Columns, names: list[str], columns: Sequence[str]) -> None:
    """Raise UserError for the first row with a cell in a column that has no name."""
    nameless = [at for at in range(1, len(table.cells)) if at >= len(names) or not names[at]]
    rows = {at: row for at in nameless if (row := table.first(at)) is not None}
    if not rows:
        return
    row = min(rows.values())
    held = [at for at, column in enumerate(table.cells) if column[row].is_valid]
    line = f"{path}:{table.lines[row]}"
    if held[-1] >= len(names):
        raise UserError(
            f"{line}: has {held[-1] + 1} cells where the header has {len(names)}"
            f"{_told(path, columns)}; put text that holds the separator in quotes, and "
            "write decimals with a point"
        )
    at = next(at for at in held if at in rows)
    raise UserError(
        f"{line}: column {at + 1} holds {table.cells[at][row].as_py()!r}, but has no name; name or "
        "remove it"
    )


def rows_of(path: Path, columns: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a table, its header first, each with its line; cells as they stand.

    Args:
        columns: of the header, by which the separator is told where it is in doubt.

    Raises:
        UserError: the file cannot be read.
    """
    begin = _begin(path)
    if said := _no_table(begin):
        raise unreadable(path, *said)
    if begin.startswith(_EXCEL):
        rows = workbook_rows(path)
    elif begin.startswith(_PARQUET):
        rows = _columns(path, columns).rows()
    else:
        rows = TableText.read(path, columns).rows()
    first = next(rows, None)
    if first is None:
        raise unreadable(path, "it is empty")
    return chain([first], rows)


def numbers(values: pd.Series) -> Float[np.ndarray, " n"]:
    """Return a column of text as numbers; NaN where a cell is empty, ``NA`` or no number.

    A comma is a decimal point where every cell with a comma may be read so, and none has a point.
    """
    given = (values.notna() & ~values.isin(NOT_AVAILABLE)).to_numpy()
    text = [str(cell) for cell in values[given]]
    with_comma = [cell for cell in text if "," in cell]
    if all(map(_COMMA.fullmatch, with_comma)) and not any("." in cell for cell in text):
        text = [cell.replace(",", ".") for cell in text]
    found = np.full(len(values), np.nan)
    found[given] = pd.to_numeric(pd.Series(text, dtype=object), errors="coerce")
    return found


def _begin(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None


def _no_table(begin: bytes) -> Sequence[str] | None:
    """Return what a file is that is no table, and what to do; None of one that may be."""
    return next((said for mark, *said in _NO_TABLE if begin.startswith(mark)), None)


def _check_names(path: Path, line: int, names: list[str], columns: Sequence[str]) -> None:
    for name in columns:
        if name not in names:
            shown = ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
            raise UserError(
                f"{path}: lacks the column {name!r}; has {shown or 'no named one'}"
                f"{nearest(name, names)}{_told(path, columns) if len(names) < 2 else ''}"
            )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path}:{line}: the column {twice!r} stands twice; rename or remove one")


def _told(path: Path, columns: Sequence[str]) -> str:
    """Return `` (read as comma-separated utf-8)``; nothing of other formats."""
    if _begin(path).startswith((_EXCEL, _PARQUET)):
        return ""
    text = TableText.read(path, columns)
    return f" (read as {SEPARATORS[text.separator]}-separated {text.encoding})"
