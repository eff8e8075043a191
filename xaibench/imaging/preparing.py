"""The pictures of many files prepared, and written as one array with a table of what was done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.errors import UserError
from xaibench.imaging.bit_depth import told_bits
from xaibench.imaging.frame_crop import Bounds
from xaibench.imaging.image_files import BadImage
from xaibench.imaging.many_files import read_all
from xaibench.imaging.picture_files import read_pictures
from xaibench.imaging.preprocess import SIDES, Placement, Preprocessing, prepare
from xaibench.imaging.reading import Reading
from xaibench.progress import Progress

BITS, IMAGES, TABLE = "bits.json", "images.npy", "table.parquet"
"""Names of what is written."""
_NAMED = 4  # sizes that an error names


class Asked:
    """Files and the pictures of each that are asked for; ValueError where one stands twice.

    Attributes:
        files, frames: as `image_cache.prepared_images` has them.
        rows: file -> the rows of its pictures.
    """

    def __init__(self, files: Sequence[Path], frames: Sequence[int] | None) -> None:
        self.files, self.frames = files, frames
        self.rows: dict[Path, list[int]] = {}
        for row, file in enumerate(files):
            self.rows.setdefault(file, []).append(row)
        pairs = set(zip(files, frames, strict=True)) if frames is not None else self.rows
        if len(pairs) < len(files):
            raise ValueError("a file stands twice in the list of those to prepare")

    def pictures(self, file: Path, reading: Reading) -> Iterator[tuple[int, np.ndarray]]:
        """Yield row -> picture of those of a file."""
        rows = self.rows[file]
        numbers = None if self.frames is None else [self.frames[row] for row in rows]
        yield from zip(rows, read_pictures(file, reading, numbers), strict=True)


def fill(
    folder: Path,
    asked: Asked,
    options: Preprocessing,
    reading: Reading,
    *,
    allowed_bad: float,
    progress: Progress,
) -> None:
    """Write `BITS`, `IMAGES` and `TABLE` of the pictures asked for into a folder.

    Raises:
        UserError: too many bad files; pictures that should keep their size, and differ.
    """
    files = list(asked.rows)
    bits = reading.bits or told_bits(files, progress)
    (folder / BITS).write_text(json.dumps(bits), encoding="utf-8")
    told = replace(reading, bits=bits)
    size = _own_size(asked, told) if options.resize is None else options.resize.shape
    shape = (len(asked.files), *size, *[3] * reading.colour)
    images = _mapped(folder / IMAGES, shape)

    def read(file: Path) -> dict[int, dict[str, object]]:
        found = {}
        for row, picture in asked.pictures(file, told):
            prepared = prepare(picture, options)
            if prepared.image.shape == shape[1:]:  # else it is refused below, with all others
                images[row] = prepared.image
            found[row] = _row(prepared.placement)
        return found

    found = read_all(files, read, allowed_bad=allowed_bad, progress=progress, title="Preparing")
    rows: dict[int, dict[str, object]] = {}
    for file, each in zip(files, found, strict=True):
        if isinstance(each, BadImage):
            images[asked.rows[file]] = 0
            each = dict.fromkeys(asked.rows[file], _bad_row(each))
        rows |= each
    images.flush()
    table = pd.DataFrame([rows[row] for row in range(len(rows))])
    if options.resize is None:
        _check_one_size(table)
    table.to_parquet(folder / TABLE)


def _own_size(asked: Asked, reading: Reading) -> tuple[int, int]:
    """Return the size of the first picture that can be read; the least where none can."""
    for file in asked.rows:
        try:
            _, picture = next(asked.pictures(file, reading))
        except BadImage:
            continue
        height, width = picture.shape[:2]
        if not SIDES[0] <= min(height, width) <= max(height, width) <= SIDES[1]:
            raise UserError(
                f"resize: is null, and {file} is {height} x {width} pixels; a side has {SIDES[0]} "
                f"to {SIDES[1]}: set resize: {{size: 224}}, or another size"
            )
        return height, width
    return SIDES[0], SIDES[0]


def _check_one_size(table: pd.DataFrame) -> None:
    """Raise UserError where pictures that should keep their size differ."""
    counts = table[~table["bad"]].value_counts(["height", "width"])
    if len(counts) < 2:
        return
    told = [f"{count} of {height} x {width}" for (height, width), count in counts.items()]
    common = ", ".join(map(str, counts.index[0]))
    more = f" and {len(told) - _NAMED} more sizes" if len(told) > _NAMED else ""
    raise UserError(
        f"resize: is null, but images differ in height x width: {', '.join(told[:_NAMED])}{more}; "
        f"set resize: {{size: [{common}]}}, or another size, to make them one"
    )


def _mapped(file: Path, shape: tuple[int, ...]) -> np.memmap:
    """Return a new array in a file. Its room is taken at once: a disk that is full when a page of
    a sparse file is written kills the process.
    """
    images = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return images


def _row(placement: Placement) -> dict[str, object]:
    return {
        "height": placement.height,
        "width": placement.width,
        **placement.bounds._asdict(),
        "cropped": placement.removed > 0,
        "removed": placement.removed,
        "bad": False,
        "reason": "",
    }


def _bad_row(bad: BadImage) -> dict[str, object]:
    numbers = dict.fromkeys(("height", "width", *Bounds._fields), 0)
    return {**numbers, "cropped": False, "removed": 0.0, "bad": True, "reason": bad.reason}
