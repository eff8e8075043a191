"""A DICOM file opened for the elements that are asked for, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from xaibench.imaging.dicom.refused import Refused
from xaibench.imaging.image_files import why_unreadable


def opened(path: Path, keywords: Iterable[str], *, pixels: bool) -> FileDataset:
    """Return the file's elements of these keywords.

    Args:
        pixels: read on to the pixels; otherwise stop before them.

    Raises:
        Refused: it cannot be read, is empty, without preamble, or no DICOM behind it.
    """
    if reason := why_unreadable(path):
        raise Refused(reason)
    try:
        return dcmread(path, stop_before_pixels=not pixels, specific_tags=[*keywords])
    except InvalidDicomError:
        raise Refused("has no DICM preamble, with which every DICOM file begins") from None
    except Exception as error:  # its words may hold values of the header
        raise Refused(f"cannot be read as DICOM ({type(error).__name__})") from None
