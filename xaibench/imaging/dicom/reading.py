"""The pictures and the header of a DICOM file, by pydicom, which is an optional extra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from xaibench.errors import UserError
from xaibench.imaging.dicom.header import Header, header_of
from xaibench.imaging.dicom.refused import Refused
from xaibench.imaging.dicom.silence import silence
from xaibench.imaging.image_files import BadImage
from xaibench.imaging.reading import Unwindowed

if TYPE_CHECKING:  # it needs pydicom
    from types import ModuleType

Pictures = UInt8[np.ndarray, "frame height width"] | UInt8[np.ndarray, "frame height width 3"]


Wanted = Sequence[int] | Callable[[int], Sequence[int]] | None


def read_dicom(
    path: Path, *, frames: Wanted = None, unwindowed: Unwindowed = "possible"
) -> Pictures:
    """Return the frames of a DICOM file as a viewer first shows them: grey, or RGB for colour.

    Grey goes through the standard's pipeline (PS3.4 N.2.1), in this order:

    1. Stored values: Bits Stored of them, signed by Pixel Representation. Bits above them (overlays
       of old files) are cut off.
    2. Modality LUT (PS3.3 C.11.1): the Modality LUT Sequence, or Rescale Slope and Intercept.
    3. VOI LUT (C.11.2): the first item of the VOI LUT Sequence, or else the first window, with its
       function: LINEAR, LINEAR_EXACT or SIGMOID. The sequence goes first, since it is the curve
       that the maker meant and a window next to it approximates.
    4. MONOCHROME1 is inverted. A Presentation LUT Shape must agree with it.
    5. The output range becomes 0 to 255, rounded to the nearest.

    A multi-frame file's own functional groups (Pixel Value Transformation, Frame VOI LUT) go before
    what it says of the whole. Pixel padding goes the way of the other pixels.

    Where a file has no VOI LUT, the standard maps the full range of the preceding step to the
    display's (PS3.3 C.11.6.1): all values that Bits Stored can hold, after the Modality LUT. So the
    same value is the same grey in every file, whatever else is in it. ``unwindowed="present"``
    instead spans the lowest to the highest value of each frame without its padding, as many viewers
    do; a marker or an implant then changes the grey of the rest. It is for files that claim more
    bits than they use. Otherwise those are refused, rather than shown nearly black: a frame of more
    than 8 bits that spans fewer than 32 of 256 greys, as is a VOI table that does. Without a VOI
    LUT more than 16 bits are refused.

    Colour goes through none of this (N.2.1.3 is for grey): RGB as it is, YBR converted, PALETTE
    COLOR looked up, and more than 8 bits scaled. Profiles and transparency are left out.

    Args:
        frames: numbers of the frames to return, from 0, or what returns them for so many frames;
            None: all.
        unwindowed: what a file without a VOI LUT spans.

    Raises:
        BadImage: no picture comes of the file; with the reason.
        UserError: pydicom or its decoders are not installed.
    """
    pictures = _library(path)
    named = lambda count: range(count) if frames is None else frames
    wanted = frames if callable(frames) else named
    try:
        with silence:
            return pictures.pictures_of(path, wanted, unwindowed)
    except Refused as refused:
        raise BadImage(path, str(refused)) from None
    except (BadImage, UserError):
        raise
    except Exception as error:  # its words may hold values of the header
        raise BadImage(path, f"cannot be read as DICOM ({type(error).__name__})") from None


def read_header(path: Path) -> Header:
    """Return what is used of a DICOM file's header; its pixels are not read.

    Raises:
        BadImage: it is no DICOM file or has no picture; with the reason.
        UserError: pydicom is not installed.
    """
    pictures = _library(path)
    try:
        with silence:
            return header_of(pictures.attributes_of(path))
    except Refused as refused:
        raise BadImage(path, str(refused)) from None
    except Exception as error:  # its words may hold values of the header
        raise BadImage(path, f"cannot be read as DICOM ({type(error).__name__})") from None


def _library(path: Path) -> ModuleType:
    try:
        from xaibench.imaging.dicom import pictures
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pydicom":
            raise
        raise UserError(
            f"{path}: a DICOM file needs the package 'pydicom', which is not installed; "
            "pip install 'xaibench[dicom]'"
        ) from None
    return pictures
