"""True masks of generated images, one black and white PNG a mask, beside the images.

``folder / NAME / PATH.png`` holds the mask NAME of the image PATH, in the image's own pixels; where
there is no such file the image has no such truth, which is written as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from xaibench.errors import UserError
from xaibench.types import Mask

FOLDER = "masks"


def encoded(masks: Mapping[str, Mask]) -> dict[str, bytes]:
    """Return name -> PNG of the masks that are not empty."""
    return {name: _png(mask) for name, mask in masks.items() if mask.any()}


def write_masks(folder: Path, path: str, masks: Mapping[str, bytes]) -> None:
    """Write an image's encoded masks."""
    for name, png in masks.items():
        file = mask_file(folder, name, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png)


def read_mask(folder: Path, name: str, path: str, height: int, width: int) -> Mask:
    """Return a mask of an image of so many pixels; all False where none was written."""
    file = mask_file(folder, name, path)
    if not file.is_file():
        return np.zeros((height, width), bool)
    try:
        with Image.open(file) as png:
            mask = np.asarray(png.convert("L")) > 0
    except OSError as error:
        raise UserError(f"{file}: no readable mask ({error}); generate the set anew") from None
    if mask.shape != (height, width):
        raise UserError(
            f"{file}: the mask has {mask.shape[0]} x {mask.shape[1]} pixels, its image "
            f"{height} x {width}; generate the set anew"
        )
    return mask


def mask_file(folder: Path, name: str, path: str) -> Path:
    """Return where the mask ``name`` of the image ``path`` lies."""
    return folder / name / PurePosixPath(path).with_suffix(".png")


def _png(mask: Mask) -> bytes:
    file = BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).convert("1").save(file, "PNG")
    return file.getvalue()
