"""How many of a file's 16 bits its images use: cameras give 10, 12 or 14."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from xaibench.imaging.image_files import MAX_PIXELS, is_wide

USUAL = (8, 10, 12, 14, 16)
_MAY_BE_WIDE = frozenset({".png", ".tif", ".tiff"})


def told_bits(files: Iterable[Path]) -> int | None:
    """Return the bits that the brightest pixel of all files needs, one of 8, 10, 12, 14 and 16.

    Only images of one channel and 16 bits count; None where there is none. It is told of the set
    as a whole, for an image of its own scale would be as bright as any other. Files that cannot be
    read are left to whoever reads them.
    """
    brightest = None
    for file in files:
        if file.suffix.lower() in _MAY_BE_WIDE and (found := _brightest(file)) is not None:
            brightest = max(found, brightest or 0)
    if brightest is None:
        return None
    return next((bits for bits in USUAL if brightest < 2**bits), USUAL[-1])


def _brightest(file: Path) -> int | None:
    try:
        with Image.open(file) as image:
            if not is_wide(image) or image.width * image.height > MAX_PIXELS:
                return None
            return int(np.asarray(image).max())
    except Exception:  # decoders of broken bytes raise nearly anything
        return None
