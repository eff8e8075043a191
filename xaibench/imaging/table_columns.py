"""A table by its columns: as quick as the format lets it be read, the same whatever the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Shaped
from pyarrow import csv

from xaibench.imaging.table_text import Row, TableText

_BLOCK = 1 << 24  # bytes that Arrow reads at once; a longer row goes the slow way
_ROWS = 4096  # turned into columns at once: many lists that live long keep the collector busy


@dataclass(frozen=True, eq=False)
class Columns:
    """The header and the rows of a table; rows without any cell are left out.

    Attributes:
        line: of the header.
        header: its cells, as they stand.
        lines: that the rows begin in.
        cells: of each column, without the spaces around them, null where empty; there may be more
            columns than the header has cells, and fewer.
    """

    line: int
    header: Sequence[str]
    lines: Int[np.ndarray, " n"]
    cells: Sequence[pa.Array | pa.ChunkedArray]

    @classmethod
    def of_text(cls, text: TableText) -> Columns:
        """Read separated text: by Arrow where it has no quotes and every row is one line.

        Raises:
            UserError: its quotes are wrong.
        """
        return _plain(text) or cls.of_rows(text.rows())

    @classmethod
    def of_rows(cls, rows: Iterator[Row]) -> Columns:
        """Read rows, the first being the header; there must be one."""
        line, header = next(rows)
        lines: list[int] = []
        parts: list[list[pa.Array]] = []
        while batch := list(islice(rows, _ROWS)):
            lines += [at for at, _ in batch]
            columns = zip_longest(*(cells for _, cells in batch))
            parts.append([pa.array(column, pa.large_string()) for column in columns])
        return cls.of_arrays(line, header, np.array(lines, np.int64), _joined(parts))

    @classmethod
    def of_arrays(
        cls,
        line: int,
        header: Sequence[str],
        lines: Int[np.ndarray, " n"],
        arrays: Sequence[pa.Array | pa.ChunkedArray],
    ) -> Columns:
        """Read columns of text, whose cells may have spaces around them and be empty or null."""
        cells = [_stripped(array) for array in arrays]
        holds = np.zeros(len(lines), bool)
        for column in cells:
            holds |= _filled(column)
            if holds.all():
                return cls(line, header, lines, cells)
        kept = pa.array(holds)
        return cls(line, header, lines[holds], [column.filter(kept) for column in cells])

    def rows(self) -> Iterator[Row]:
        """Yield the header and the rows."""
        yield self.line, list(self.header)
        columns = [["" if cell is None else cell for cell in c.to_pylist()] for c in self.cells]
        yield from zip(self.lines.tolist(), map(list, zip(*columns, strict=True)), strict=True)

    def column(self, at: int) -> Shaped[np.ndarray, " n"]:
        """Return a column as objects, NaN where a cell is empty."""
        if at >= len(self.cells):
            return np.full(len(self.lines), np.nan, object)
        cells = self.cells[at]
        found = np.asarray(cells.to_pandas(deduplicate_objects=True).to_numpy(object)).copy()
        found[~_filled(cells)] = np.nan
        return found

    def first(self, at: int) -> int | None:
        """Return the first row with a cell in a column; None where there is none."""
        filled = _filled(self.cells[at])
        return int(filled.argmax()) if filled.any() else None


def _plain(text: TableText) -> Columns | None:
    """Return a table whose every row is one line; None where it is not so simple.

    Without quotes, csv and Arrow differ in rows of other lengths than the header's alone, which
    Arrow refuses, and in empty lines, which the count of line ends tells.
    """
    if '"' in text.text:
        return None
    header, begin = text.head()
    body = text.text[begin:].encode()
    if body.count(b"\r") > body.count(b"\r\n"):  # lines of old Macs, or some of them
        return None
    names = [str(at) for at in range(len(header))]
    try:
        table = csv.read_csv(
            pa.py_buffer(body),
            csv.ReadOptions(column_names=names, block_size=_BLOCK),
            csv.ParseOptions(delimiter=text.separator, quote_char=False),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != body.count(b"\n") + (not body.endswith(b"\n")):
        return None
    lines = np.arange(text.header + 1, text.header + 1 + len(table))
    return Columns.of_arrays(text.header, header, lines, table.columns)


def _joined(parts: Sequence[Sequence[pa.Array]]) -> list[pa.ChunkedArray]:
    """Return the columns of batches of rows, of which some may have fewer than others."""
    width = max(map(len, parts), default=0)
    lacking = [pa.nulls(len(part[0]), pa.large_string()) for part in parts]
    return [
        pa.chunked_array(
            [
                part[at] if at < len(part) else lack
                for part, lack in zip(parts, lacking, strict=True)
            ]
        )
        for at in range(width)
    ]


def _stripped(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    bare = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(pc.binary_length(bare), 0), None, bare)


def _filled(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False))
