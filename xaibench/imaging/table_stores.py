"""Excel workbooks and Parquet files as rows of text, as a CSV of them would have them."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xaibench.errors import UserError
from xaibench.imaging.table_text import Row, unreadable

_LARGEST = 1 << 31  # bytes of a workbook, unpacked


def workbook_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of the first sheet of an ``.xlsx`` file; an empty cell is ``""``.

    A whole number is written without a point, a formula as the value that was saved with it.

    Raises:
        UserError: openpyxl is missing; the file is no workbook; a cell holds an error.
    """
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise UserError(
            f"{path}: Excel files need the package 'openpyxl', which is not installed; "
            "pip install 'xaibench[excel]', or save it as CSV"
        ) from None
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > _LARGEST:
            raise unreadable(path, f"unpacked it has {size} bytes", "save it as CSV")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and the like
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                rows = [list(row) for row in book.worksheets[0].iter_rows()]
            finally:
                book.close()
    except UserError:
        raise
    except Exception as error:  # a damaged archive can fail in any way
        why = f"it is no Excel workbook: {' '.join(str(error).split())}"
        raise unreadable(path, why, "save it anew as .xlsx or CSV") from None
    for number, row in enumerate(rows, 1):
        for column, cell in enumerate(row, 1):
            if cell.value is not None and cell.data_type == "e":
                where = f"line {number}, column {column} holds the error {cell.value}"
                raise unreadable(path, where, "mend it")
        cells = [_as_text(cell.value) for cell in row]
        if any(cells):
            yield number, cells


def parquet_columns(path: Path) -> tuple[list[str], list[pa.Array]]:
    """Return the names of the columns, and each as text; a null is ``""`` or null.

    Raises:
        UserError: the file is no Parquet file, or a column holds lists or structures.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        why = f"it is no readable Parquet file: {' '.join(str(error).split())}"
        raise unreadable(path, why, "write it anew") from None
    for field in table.schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            raise unreadable(path, f"the column {field.name!r} holds {field.type}", "leave it out")
    return list(table.column_names), [_text_column(column) for column in table.columns]


def _text_column(column: pa.ChunkedArray) -> pa.Array:
    encoded = pa.array(column.combine_chunks()).dictionary_encode()
    texts = [_as_text(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.large_string()).take(encoded.indices)


def _as_text(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
