"""Tables as people save them: every separator, encoding and format gives the same text."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaibench.errors import UserError
from xaibench.imaging.tables import numbers, read_table, rows_of

ROWS = [["path", "label", "patient"], ["Küche/a.png", "0.5", "001"], ["b.png", "", "None"]]
COLUMNS = ("path", "label", "patient")


def text(separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in ROWS)


def is_that_table(table: pd.DataFrame, lines=(2, 3)) -> None:
    assert table.columns.tolist() == ROWS[0]
    assert table.index.tolist() == list(lines)
    assert table["path"].tolist() == ["Küche/a.png", "b.png"]
    assert table["patient"].tolist() == ["001", "None"]
    assert table["label"][lines[0]] == "0.5"
    assert pd.isna(table["label"][lines[1]])


@pytest.mark.parametrize(
    "data",
    {
        "comma": text().encode(),
        "semicolon": text(";").encode(),
        "tab": text("\t").encode(),
        "bar": text("|").encode(),
        "utf-8 with a mark": text().encode("utf-8-sig"),
        "utf-16": text("\t", "\r\n").encode("utf-16"),
        "utf-16 the other way": b"\xfe\xff" + text(";").encode("utf-16-be"),
        "utf-16 without a mark": text().encode("utf-16-le"),
        "utf-32": text().encode("utf-32"),
        "windows-1252": text(";").encode("cp1252"),
        "lines of Windows": text(end="\r\n").encode(),
        "lines of old Macs": text(end="\r").encode(),
        "no last line end": text().encode().rstrip(),
        "spaces around": text(" , ").encode(),
        "empty columns behind": text(end=",,\n").encode(),
        "quotes": "".join(f'"{row[0]}","{row[1]}","{row[2]}"\n' for row in ROWS).encode(),
    }.items(),
    ids=lambda item: item[0],
)
def test_however_it_was_saved_the_table_is_the_same(tmp_path, data):
    file = tmp_path / "table.csv"
    file.write_bytes(data[1])
    is_that_table(read_table(file, COLUMNS))


def test_lines_are_those_of_the_file(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text('\npath,note\n\na.png,"two\nlines"\nb.png,x\n\n,,\nc.png,y\n', newline="")
    table = read_table(file)
    assert table.index.tolist() == [4, 6, 9]
    assert table["note"].tolist() == ["two\nlines", "x", "y"]


def test_the_first_line_of_excel_says_the_separator(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("sep=;\n" + text(";"), encoding="utf-8")
    is_that_table(read_table(file), lines=(3, 4))


def test_separators_in_quotes_do_not_count(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text('"a, b, c, d";path\n1;a.png\n')
    assert read_table(file).columns.tolist() == ["a, b, c, d", "path"]


def test_the_wanted_columns_decide_where_counting_would_not(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("path;box [x,y,w,h]\na.png;[1,2,3,4]\n")
    assert read_table(file, ("path",)).iloc[0].tolist() == ["a.png", "[1,2,3,4]"]


def test_a_short_row_lacks_its_last_cells_and_an_index_is_left_out(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text(",path,label\n0,a.png,1\n1,b.png\n")
    table = read_table(file)
    assert table.columns.tolist() == ["path", "label"]
    assert table["label"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"cannot be read as a table \(it is empty\)"),
        (b"\n ,,\n\n", r"\(it is empty\)"),
        (b"path,label,patient\n", r"\(it has no row below its header\)"),
        (b"path,label,patient\na.png,0,5,1\n", r":2: has 4 cells .* header has 3 \(read as comma-"),
        (b"path,label,patient,\na.png,1,2,7\n", r":2: column 4 holds '7', but has no name"),
        (b"path label patient\na.png 1 2\n", r"lacks the column 'path'; .*read as comma-separated"),
        (b"path,lable,patient\na,1,2\n", r"lacks the column 'label'; has path, .*mean 'lable'"),
        (b"path,label,patient,path\na,1,2,b\n", r":1: the column 'path' stands twice"),
        (b'path,label,patient\na,1,2\n"b,1,2\nc,1,2\n', r"row that begins in line 3 are wrong"),
        (b'path,label,patient\na"b"c,1,2\n"a"b,1,2\n', r"row that begins in line 3 are wrong"),
        (b"path,label,patient\na,1,\x00\n", r"line 2 holds the character '\\x00'"),
        (bytes(range(256)) * 9, r"holds the character|neither UTF-8 nor Windows-1252"),
        ("path,label,patient\n中文图像,1,2\n".encode("gbk"), r"0xd6 in line 2 is neither UTF-8"),
        ("path,label,patient\né,1,".encode() + b"\xe9\n", r"UTF-8 but for the byte 0xe9 in line 2"),
        (b"\xff\xfea\x00b", r"it begins as UTF-16, but is not"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"an Excel file of the old kind\); save it as .xlsx"),
        (b"\x1f\x8b\x08\x00", r"packed by gzip\); unpack it"),
        (b"\x89HDF\r\n\x1a\n", r"an HDF5 file"),
        (b"PAR1 and no more", r"no readable Parquet file"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, data, said):
    file = tmp_path / "table.csv"
    file.write_bytes(data)
    with pytest.raises(UserError, match=said) as caught:
        read_table(file, COLUMNS)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder_are_no_tables(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match=r"cannot be read as a table \("):
            read_table(path)


def test_parquet_is_read_as_its_csv_would_be(tmp_path):
    file = tmp_path / "table.parquet"
    made = {"path": ["a", None], "label": [1.0, np.nan], "age": [2.5, 3.0], "there": [True, False]}
    pd.DataFrame(made).to_parquet(file)
    table = read_table(file, ("path", "label"))
    assert table.index.tolist() == [1, 2]
    assert table.iloc[0].tolist() == ["a", "1", "2.5", "True"]
    assert table.iloc[1].isna().tolist() == [True, True, False, False]
    pd.DataFrame({"path": [["a"]]}).to_parquet(file)
    with pytest.raises(UserError, match="the column 'path' holds list"):
        read_table(file)


def test_a_workbook_is_read_as_its_csv_would_be(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    file = tmp_path / "table.xlsx"
    book = openpyxl.Workbook()
    for row in [["path", "label", "age"], ["a.png", 1, 2.5], [], ["b.png", None, "007"]]:
        book.active.append(row)
    book.save(file)
    table = read_table(file, ("path", "label"))
    assert table.index.tolist() == [2, 4]
    assert table.iloc[0].tolist() == ["a.png", "1", "2.5"]
    assert table["age"].tolist() == ["2.5", "007"]
    assert pd.isna(table["label"][4])


def test_a_damaged_workbook_is_refused(tmp_path):
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    file = tmp_path / "table.xlsx"
    file.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"it is no Excel workbook: .*save it anew as .xlsx or CSV"):
        read_table(file)


def test_without_openpyxl_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    file = tmp_path / "table.xlsx"
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"pip install 'xaibench\[excel\]', or save it as CSV"):
        read_table(file)


@pytest.mark.parametrize(
    ("cells", "made"),
    [
        (["1", "0.5", "-1e-3"], [1, 0.5, -1e-3]),
        (["1", "0,5", "-1,25"], [1, 0.5, -1.25]),
        (["1.5", "0,5"], [1.5, np.nan]),
        (["1,000,000"], [np.nan]),
        (["", "NA", "nan", "x"], [np.nan] * 4),
        ([np.nan, "2"], [np.nan, 2]),
    ],
)
def test_numbers_may_have_a_decimal_comma(cells, made):
    np.testing.assert_array_equal(numbers(pd.Series(cells, dtype=object)), made)


def test_rows_are_as_they_stand(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("a,b\n 1 ,2\n\n")
    assert list(rows_of(file)) == [(1, ["a", "b"]), (2, [" 1 ", "2"])]


def literal(path) -> tuple[list[str], list[int], list[list[str]]]:
    """Read a table row by row: names, lines, and cells."""
    (_, header), *rows = rows_of(path)
    names = [name.strip() for name in header]
    kept = [at for at, name in enumerate(names) if name]
    cells = [[row[at].strip() if at < len(row) else "" for at in kept] for _, row in rows]
    return [names[at] for at in kept], [line for line, _ in rows], cells


PARTS = st.sampled_from(["a", "001", " ", "\u00a0", ",", ";", "\t", "\n", "\r\n", "\r", '"', "é"])


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(PARTS, max_size=30), head=st.sampled_from(["x,y\n", "x;y\r\n", "x\n", ",x\n"])
)
def test_columns_are_what_reading_row_by_row_gives(tmp_path, parts, head):
    file = tmp_path / "table.csv"
    file.write_bytes((head + "".join(parts)).encode())
    try:
        table = read_table(file)
    except UserError:
        return
    found = table.fillna("").to_numpy().tolist()
    assert (table.columns.tolist(), table.index.tolist(), found) == literal(file)


@pytest.mark.parametrize("quoted", [False, True])
def test_a_long_table_whose_rows_have_other_lengths(tmp_path, quoted):
    file = tmp_path / "table.csv"
    lines = [f'"{at}",x' if quoted else f"{at},x" for at in range(9000)]
    lines[10], lines[8500] = "10", ""
    file.write_text("a,b,c\n" + "\n".join(lines))
    table = read_table(file)
    assert (table.columns.tolist(), table.index.tolist(), table.fillna("").to_numpy().tolist()) == (
        literal(file)
    )
    assert table.loc[12].isna().tolist() == [False, True, True]
    assert 8502 not in table.index
    lines[8900] = "8900,x,y,z"
    file.write_text("a,b,c\n" + "\n".join(lines))
    with pytest.raises(UserError, match=":8902: has 4 cells where the header has 3"):
        read_table(file)


def test_the_first_wrong_row_is_named_whatever_is_wrong_with_it(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("a,,b\n1,,2\n1,z,2\n1,,2,3\n")
    with pytest.raises(UserError, match=":3: column 2 holds 'z', but has no name"):
        read_table(file)
    file.write_text("a,,b\n1,,2\n1,,2,3\n1,z,2\n")
    with pytest.raises(UserError, match=":3: has 4 cells where the header has 3"):
        read_table(file)


def test_every_kind_of_parquet_column_is_text(tmp_path):
    file = tmp_path / "table.parquet"
    columns = {
        "name": pa.array([" a ", "", None]),
        "kind": pa.array(["x", None, "x"]).dictionary_encode(),
        "day": pa.array([datetime.date(2020, 1, 2), None, None]),
        "count": pa.array([3, None, -1], pa.int8()),
        "price": pa.array([Decimal("1.50"), None, None]),
        "nothing": pa.nulls(3),
        "half": pa.array([0.5, np.nan, 2.0], pa.float32()),
    }
    pq.write_table(pa.table(columns), file)
    table = read_table(file)
    assert table.index.tolist() == [1, 3]
    assert table.fillna("").to_numpy().tolist() == [
        ["a", "x", "2020-01-02", "3", "1.50", "", "0.5"],
        ["", "x", "", "-1", "", "", "2"],
    ]
    assert next(rows_of(file)) == (0, list(columns))
