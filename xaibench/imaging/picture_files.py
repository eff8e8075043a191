"""Files that hold a picture, whether image or DICOM: found below a folder, and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xaibench.imaging.dicom import is_dicom, read_dicom, read_dicom_grey, read_header
from xaibench.imaging.image_files import (
    BadImage,
    Reading,
    find_files,
    is_image,
    read_colour,
    read_grey,
)
from xaibench.types import ColourPicture, Picture


def find_pictures(root: Path) -> list[Path]:
    """Return every image file and DICOM file below ``root``, sorted by path.

    As `find_files`; DICOM files are told by their extension, or without one by their first bytes.
    """
    return find_files(root, lambda file: is_image(file) or is_dicom(file))


def read_picture(path: Path, reading: Reading) -> Picture | ColourPicture:
    """Return a file's picture, grey or in colour as is asked.

    The bits of a DICOM file are its own; ``reading.bits`` is of other files (None: 16).

    Raises:
        BadImage: no picture comes of the file, or it holds several.
        UserError: it is DICOM, and pydicom is not installed.
    """
    if not is_dicom(path):
        read = read_colour if reading.colour else read_grey
        return read(path, bits=reading.bits or 16)
    if not reading.colour:
        return read_dicom_grey(path)
    if (count := read_header(path).frames) != 1:
        raise BadImage(path, f"has {count} frames where one picture is expected")
    (picture,) = read_dicom(path)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
