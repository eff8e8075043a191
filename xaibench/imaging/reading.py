"""How files become pictures: what a config may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Frames = Literal["error", "first", "middle", "all"]
"""Which pictures count of a file that holds several. ``all``: each is an image of its own."""

Unwindowed = Literal["possible", "present"]
"""What a DICOM file without a window shows from black to white; see `dicom.read_dicom`."""


@dataclass(frozen=True)
class Reading:
    """How a file becomes a picture of 8 bits.

    Attributes:
        colour: three channels (red, green, blue), else grey.
        bits: of the values in files of 16 bits, of which 2^bits - 1 becomes 255. None: as many as
            the brightest of all the set's images needs (`bit_depth.told_bits`).
        frames: which picture of several is read, where none is named: the first, the middle one
            (of 3 and of 4 pictures the second and the third), else a file of several is bad.
        unwindowed: what a DICOM file without a window spans.
    """

    colour: bool = False
    bits: int | None = None
    frames: Frames = "error"
    unwindowed: Unwindowed = "possible"
