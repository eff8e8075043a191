"""Which column of a table names the image files, and how: the one whose cells are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.picture_files import find_pictures

_FEWEST = 0.5  # share of the cells that must be files


@dataclass(frozen=True)
class ImageColumn:
    """Where the files of a column's cells lie.

    Attributes:
        root, pattern: a cell's file is ``root / pattern`` with the cell for ``{}``.
        lost: cells without a file.
        example: of them.
    """

    name: str
    root: Path
    pattern: str
    lost: int
    example: str

    def files(self, table: pd.DataFrame) -> list[Path]:
        """Return the file of each row that names one."""
        cells = table[self.name].dropna().str.replace("\\", "/")
        return [self.root / self.pattern.replace("{}", cell) for cell in cells]


def find_image_column(table: pd.DataFrame, file: Path, places: Sequence[Path]) -> ImageColumn:
    """Return the column most of whose cells are files below one of the places.

    Args:
        places: the first that has images is looked at.

    Raises:
        UserError: there are no images, or no column names them.
    """
    for place in places:
        if paths := [path.relative_to(place).as_posix() for path in find_pictures(place)]:
            break
    else:
        raise UserError(f"{file}: there are no images below {places[0]}; say --images DIR")
    found = [one for name in table if (one := _fitting(table[name], place, paths))]
    if not found:
        raise UserError(
            f"{file}: no column names the {len(paths)} images below {place} (such as {paths[0]}); "
            "say --images DIR if they lie elsewhere"
        )
    return min(found, key=lambda column: column.lost)


def _fitting(cells: pd.Series, place: Path, paths: Sequence[str]) -> ImageColumn | None:
    known = cells.dropna().str.replace("\\", "/")
    by_end: dict[str, list[str]] = {}
    for path in paths:  # a/b_1.png is found as that, a/b_1, b_1.png, b_1 and 1
        if number := re.search(r"\d+$", PurePosixPath(path).stem):
            by_end.setdefault(number[0], []).append(path)
        parts = PurePosixPath(path).parts
        for at in range(len(parts)):
            end = PurePosixPath(*parts[at:])
            for form in {end.as_posix(), end.with_suffix("").as_posix()}:
                by_end.setdefault(form, []).append(path)
    forms: Counter[tuple[str, str]] = Counter()
    for cell in known:
        for path in set(by_end.get(cell, ())):
            at = path.rindex(cell)
            forms[path[:at], path[at + len(cell) :]] += 1
    if not forms:
        return None
    (before, behind), _ = forms.most_common(1)[0]
    there = set(paths)
    lost = [cell for cell in known if f"{before}{cell}{behind}" not in there]
    if len(known) - len(lost) < max(_FEWEST * len(known), 2):
        return None
    folder, slash, start = before.rpartition("/")
    root = place / folder if slash else place
    pattern = f"{start}{{}}{behind}"
    return ImageColumn(str(cells.name), root, pattern, len(lost), lost[0] if lost else "")
