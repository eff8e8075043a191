"""Files that hold a picture, whether image or DICOM: found below a folder, and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xaibench.imaging.dicom import is_dicom, read_dicom, read_header
from xaibench.imaging.image_files import (
    BadImage,
    chosen,
    count_images,
    find_files,
    is_image,
    luma,
    read_images,
)
from xaibench.imaging.reading import Reading
from xaibench.types import ColourPicture, Picture

_AT_ONCE = 16_000_000  # pixels of DICOM frames that are held


def find_pictures(root: Path) -> list[Path]:
    """Return every image file and DICOM file below ``root``, sorted by path.

    As `find_files`; DICOM files are told by their extension, or without one by their first bytes.
    """
    return find_files(root, lambda file: is_image(file) or is_dicom(file))


def read_picture(path: Path, reading: Reading) -> Picture | ColourPicture:
    """Return the one picture of a file that ``reading`` names, as `read_pictures`."""
    (picture,) = read_pictures(path, reading)
    return picture


def read_pictures(
    path: Path, reading: Reading, numbers: Sequence[int] | None = None
) -> Iterator[Picture | ColourPicture]:
    """Yield pictures of a file, grey or in colour as is asked.

    The bits of a DICOM file are its own; ``reading.bits`` is of other files (None: 16).

    Args:
        numbers: of the pictures, from 0; None for the one that ``reading.frames`` names.

    Raises:
        BadImage: no picture comes of the file, or it holds several and none is named.
        UserError: it is DICOM, and pydicom is not installed.
    """
    if not is_dicom(path):
        yield from read_images(path, reading, numbers)
        return
    one = lambda count: [chosen(path, count, reading.frames)]
    for part in [one] if numbers is None else _parts(path, numbers):
        for picture in read_dicom(path, frames=part, unwindowed=reading.unwindowed):
            yield _as_asked(picture, reading.colour)


def count_pictures(path: Path) -> int:
    """Return how many pictures a file holds, by its header; 1 where it holds none.

    That is told where its picture is read.
    """
    try:
        return read_header(path).frames if is_dicom(path) else count_images(path)
    except BadImage:
        return 1


def _parts(path: Path, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    header = read_header(path)
    size = max(_AT_ONCE // (header.rows * header.columns), 1)
    for at in range(0, len(numbers), size):
        yield numbers[at : at + size]


def _as_asked(picture: Picture | ColourPicture, colour: bool) -> Picture | ColourPicture:
    if colour:
        return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
    return picture if picture.ndim == 2 else luma(picture)
