"""Files of separated text as rows of cells: their encoding and separator are told from them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xaibench.errors import UserError

Row = tuple[int, list[str]]
"""The line that a row begins in (the first is 1), and its cells."""

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}
_UTF_8 = "save it as CSV in UTF-8"
# The longer mark first: that of UTF-32 begins as that of UTF-16.
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SEEN = 1000  # bytes from which UTF-16 without a mark is told
_NO_TEXT = bytes([*range(0x09), *range(0x0E, 0x20)])
_MANY = re.compile(r"[^\x00-\x7f]{4}")
_QUOTED = re.compile(r'"[^"]*"?')
_LONGEST = 10_000_000  # characters of a cell
_SEPARATOR_SAID = re.compile(r"sep=([\t;,|])$", re.IGNORECASE)


@dataclass(frozen=True)
class TableText:
    """A table as text.

    Attributes:
        separator: of its cells.
        encoding: as Python calls it.
        header: the line of the header; it and what follows are rows.
    """

    path: Path
    text: str
    encoding: str
    separator: str
    header: int

    @classmethod
    def read(cls, path: Path, columns: Sequence[str] = ()) -> TableText:
        """Read a file.

        UTF-8 and UTF-16 are told by their marks or their bytes; what is neither is Windows-1252,
        if it may be. The separator is what the header has most of outside of quotes; a tab goes
        before all others, and one that yields all ``columns`` before one that does not.

        Raises:
            UserError: the file cannot be read, is empty, is no text, or of another encoding.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise unreadable(path, error.strerror or str(error)) from None
        text, encoding = _decoded(path, data)
        _check_text(path, text)
        lines = enumerate(io.StringIO(text, newline=""), 1)
        at, header = next((pair for pair in lines if pair[1].strip("\r\n\t;, ")), (0, ""))
        if not at:
            raise unreadable(path, "it is empty")
        if said := _SEPARATOR_SAID.match(header.strip("\r\n")):  # Excel's own first line
            return cls(path, text, encoding, said[1], at + 1)
        return cls(path, text, encoding, _separator(header, columns), at)

    def head(self) -> tuple[list[str], int]:
        """Return the cells of a header without quotes, and where in the text the rows begin."""
        lines = io.StringIO(self.text, newline="")
        for _ in range(self.header - 1):
            lines.readline()
        line = lines.readline()
        return next(csv.reader([line], delimiter=self.separator), []), lines.tell()

    def rows(self) -> Iterator[Row]:
        """Yield the header and each row with any cell that is not empty; cells as they stand.

        Raises:
            UserError: quotes that are not closed, or closed within a cell.
        """
        lines = io.StringIO(self.text, newline="")
        for _ in range(self.header - 1):
            lines.readline()
        reader = csv.reader(lines, delimiter=self.separator, strict=True)
        begins = self.header
        longest = csv.field_size_limit(_LONGEST)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield begins, cells
                begins = self.header + reader.line_num
        except csv.Error as error:
            why = f"the quotes of the row that begins in line {begins} are wrong: {error}"
            raise unreadable(self.path, why, "mend or remove them") from None
        finally:
            csv.field_size_limit(longest)


def unreadable(path: Path, why: str, mend: str = "") -> UserError:
    """Return the error of a file that is no table that can be read."""
    return UserError(f"{path}: cannot be read as a table ({why}){mend and '; '}{mend}")


def _separator(header: str, columns: Sequence[str]) -> str:
    plain = _QUOTED.sub("", header)
    counts = {separator: plain.count(separator) for separator in SEPARATORS}
    likely = sorted(counts, key=counts.get, reverse=True)
    if counts["\t"]:  # a name has commas sooner than tabs
        likely.insert(0, "\t")
    if not any(counts.values()):
        return ","
    for separator in likely:
        found = next(csv.reader([header], delimiter=separator), [])
        if columns and {*columns} <= {name.strip() for name in found}:
            return separator
    return likely[0]


def _decoded(path: Path, data: bytes) -> tuple[str, str]:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "") or _unmarked(data)
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            why = f"it begins as {encoding.upper()}, but is not"
            raise unreadable(path, why, _UTF_8) from None
        at = error.start
    line = data.count(b"\n", 0, at) + 1
    read = data.decode("utf-8", "replace")
    if sum(c > "\x7f" for c in read) >= 2 * read.count("\ufffd"):  # most of what is not ASCII is
        why = f"it is UTF-8 but for the byte 0x{data[at]:02x} in line {line}"
        raise unreadable(path, why, _UTF_8)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or _MANY.search(text):  # European words have no four letters with accents in a row
        why = f"the byte 0x{data[at]:02x} in line {line} is neither UTF-8 nor Windows-1252"
        raise unreadable(path, why, _UTF_8)
    return text, "cp1252"


def _unmarked(data: bytes) -> str:
    """Return the encoding of a file without a mark: UTF-16 has a NUL beside each plain letter."""
    begin = data[:_SEEN]
    half = max(len(begin) // 2, 1)
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if begin[first::2].count(0) > half / 2 and not begin[1 - first :: 2].count(0):
            return name
    return "utf-8"


def _check_text(path: Path, text: str) -> None:
    plain = text.encode()  # each of these characters is one byte, and part of no other
    if len(plain.translate(None, _NO_TEXT)) == len(plain):
        return
    at, found = next((at, c) for at, c in enumerate(text) if c in _NO_TEXT.decode())
    line = len(text[:at].splitlines()) or 1
    raise unreadable(path, f"line {line} holds the character {found!r}, which is no text")
