"""Which column of a table names the image files, and how: the one whose cells are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.picture_files import find_pictures

_FEWEST = 0.5  # share of the cells that must be files
_DEEP = 8  # folders of another computer that a path may begin with


@dataclass(frozen=True)
class ImageColumn:
    """Where the files of a column's cells lie.

    Attributes:
        root, pattern: a cell's file is ``root / pattern`` with the cell for ``{}``.
        lost: cells without a file.
    """

    name: str
    root: Path
    pattern: str
    lost: Sequence[str]

    def paths(self, table: pd.DataFrame) -> list[str]:
        """Return the path of each row's image, as the table has it; every row names one."""
        cells = table[self.name].str.replace("\\", "/")
        return [self.pattern.replace("{}", cell) for cell in cells]


def find_image_column(table: pd.DataFrame, file: Path, place: Path) -> ImageColumn:
    """Return the column most of whose cells are files below a place.

    Of several the one with the fewest cells without a file, then the most different cells, then the
    longest.

    Raises:
        UserError: there are no images, or no column names them.
    """
    paths = [path.relative_to(place).as_posix() for path in find_pictures(place)]
    if not paths:
        raise UserError(f"{file}: there are no images below {place}; say --images DIR")
    ends = _ends(paths)
    found = [one for name in table if (one := _fitting(table[name], place, set(paths), ends))]
    if not found:
        for name in table:
            _check_scattered(name, table[name].dropna(), file, ends)
        raise UserError(
            f"{file}: no column names the {len(paths)} images below {place} (such as {paths[0]}); "
            "say --images DIR if they lie elsewhere"
        )
    unlike = lambda name: (table[name].nunique(), table[name].dropna().str.len().sum())
    best = min(found, key=lambda column: (len(column.lost), *(-n for n in unlike(column.name))))
    if any(cell in ends for cell in best.lost):
        _check_scattered(best.name, table[best.name].dropna(), file, ends)
    return best


def _check_scattered(
    name: str, cells: pd.Series, file: Path, ends: Mapping[str, Sequence[str]]
) -> None:
    """Raise UserError where cells name images without their folders, of which there are several."""
    there = [ends[cell][0] for cell in cells if cell in ends]
    folders = sorted({path.rpartition("/")[0] for path in there})
    if len(there) >= _FEWEST * len(cells) and len(folders) > 1:
        raise UserError(
            f"{file}: {name!r} names images that lie in {len(folders)} folders "
            f"({', '.join(folders[:3])}), but not which one; put the folder before each name"
        )


def _ends(paths: Sequence[str]) -> dict[str, list[str]]:
    """Return what a cell may be -> paths: of ``a/b_1.png`` that, ``a/b_1``, ``b_1.png``, ``b_1``,
    and ``1``.
    """
    ends: dict[str, list[str]] = {}
    for path in paths:
        whole = path
        while whole:
            folder, dot, _ = whole.rpartition(".")
            for form in {whole, folder} if dot else {whole}:
                ends.setdefault(form, []).append(path)
            whole = whole.partition("/")[2]
        stem = path.rpartition("/")[2].partition(".")[0]
        number = re.search(r"\d+$", stem)
        if number and number[0] != stem:
            ends.setdefault(number[0], []).append(path)
    return ends


def _fitting(
    cells: pd.Series, place: Path, there: Set[str], ends: Mapping[str, Sequence[str]]
) -> ImageColumn | None:
    """Return where a column's files lie; its first folders may be those of another computer."""
    known = cells.dropna().str.replace("\\", "/").tolist()
    parts = [[part for part in cell.split("/") if part] for cell in known]
    for drop in range(min(max(map(len, parts), default=0), _DEEP)):
        own = ["/".join(each[drop:]) or each[-1] for each in parts] if drop else known
        found = _found(str(cells.name), own, place, there, ends)
        if found and (not drop or found.pattern == "{}"):
            return found
    return None


def _found(
    name: str, known: Sequence[str], place: Path, there: Set[str], ends: Mapping[str, Sequence[str]]
) -> ImageColumn | None:
    forms: Counter[tuple[str, str]] = Counter()
    for cell in known:
        for path in ends.get(cell, ()):
            at = path.rindex(cell)
            forms[path[:at], path[at + len(cell) :]] += 1
    if not forms:
        return None
    (before, behind), _ = forms.most_common(1)[0]
    lost = [cell for cell in known if f"{before}{cell}{behind}" not in there]
    if len(known) - len(lost) < max(_FEWEST * len(known), 2):
        return None
    folder, slash, start = before.rpartition("/")
    root = place / folder if slash else place
    return ImageColumn(name, root, f"{start}{{}}{behind}", lost)
