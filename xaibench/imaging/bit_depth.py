"""How many of a file's 16 bits its images use: cameras give 10, 12 or 14."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xaibench.imaging.image_files import is_wide, open_image
from xaibench.imaging.many_files import of_each
from xaibench.progress import Progress

USUAL = (8, 10, 12, 14, 16)
_COUNTED = ("I", "I;16")  # modes of which Pillow tells the extremes
_MAY_BE_WIDE = frozenset({".png", ".tif", ".tiff"})


def told_bits(files: Sequence[Path], progress: Progress) -> int | None:
    """Return the bits that the brightest pixel of all files needs, one of 8, 10, 12, 14 and 16.

    Only images of one channel and 16 bits count, and only they are decoded; None where there is
    none. It is told of the set as a whole, for an image of its own scale would be as bright as any
    other. Files that cannot be read are left to whoever reads them.
    """
    asked = [file for file in files if file.suffix.lower() in _MAY_BE_WIDE]
    if not asked:
        return None
    each = of_each(asked, _brightest, progress=progress, title="Bits of the brightest pixel")
    found = [brightest for brightest in each if brightest is not None]
    if not found:
        return None
    return next((bits for bits in USUAL if max(found) < 2**bits), USUAL[-1])


def _brightest(file: Path) -> int | None:
    try:
        with open_image(file) as image:
            if not is_wide(image):
                return None
            # Twice as fast as an array's maximum, and other threads go on; not of every mode.
            return image.getextrema()[1] if image.mode in _COUNTED else int(np.asarray(image).max())
    except Exception:  # decoders of broken bytes raise nearly anything
        return None
