"""Images that stand in arrays: their layout, and the scale of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from xaibench.errors import UserError
from xaibench.imaging.arrays.files import Array
from xaibench.imaging.bit_depth import USUAL
from xaibench.progress import Progress
from xaibench.types import Rows

_CHUNK = 64  # images looked at at once
_CHANNELS = (1, 3)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of one array, read row by row.

    Attributes:
        array: (total, height, width), (total, height, width, channel), or with channels first.
        first: whether channels come first.
        scale: what pixels are divided by to lie in [0, 1]; 255 of uint8, which stays as it is.
    """

    array: Array
    first: bool
    scale: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, height, width, channels."""
        total, *rest = self.array.stored.shape
        if len(rest) == 2:
            return (total, *rest, 1)
        return (total, *rest[1:], rest[0]) if self.first else (total, *rest)

    def read(
        self, rows: Rows
    ) -> UInt8[np.ndarray, "n height width channel"] | Float[np.ndarray, "n height width channel"]:
        pixels = self.array.rows(rows)
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        elif self.first:
            pixels = np.ascontiguousarray(np.moveaxis(pixels, 1, -1))
        return pixels if pixels.dtype == np.uint8 else (pixels / self.scale).astype(np.float32)


def pixels_of(array: Array, bits: int | None, progress: Progress) -> Pixels:
    """Return images that can be read: their layout, and the scale, told from every pixel.

    Args:
        bits: of whole numbers of more than 8; None for as many as the brightest pixel needs.

    Raises:
        UserError: another shape or type, or a range that nobody can tell.
    """
    shape = array.stored.shape
    if len(shape) not in (3, 4) or 0 in shape:
        raise UserError(
            f"images: {array.where} is of shape {shape}; must be (N, height, width), with channels "
            "behind or before height and width"
        )
    last, first = shape[-1] in _CHANNELS, len(shape) == 4 and shape[1] in _CHANNELS
    if len(shape) == 4 and not (last or first):
        raise UserError(
            f"images: {array.where} is of shape {shape}; must have 1 or 3 channels (of volumes, "
            "save slices)"
        )
    return Pixels(array, first and not last, _scale(array, bits, progress))


def _scale(array: Array, bits: int | None, progress: Progress) -> float:
    where, stored = array.where, array.stored
    if stored.dtype == np.uint8:
        return 255.0
    if stored.dtype.kind not in "fu" or stored.dtype.itemsize > 8:
        raise UserError(f"images: {where} is {stored.dtype}; must be uint8, uint16 or float")
    low, high = np.inf, -np.inf
    with progress.stage(f"Looking at the pixels of {where}", len(stored)) as advance:
        for begin in range(0, len(stored), _CHUNK):
            part = array.rows(np.arange(begin, min(begin + _CHUNK, len(stored))))
            if not (finite := np.isfinite(part).reshape(len(part), -1).all(1)).all():
                row = begin + int(finite.argmin())
                raise UserError(f"images: {where} holds pixels in row {row} that are no number")
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            advance(len(part))
    if stored.dtype.kind == "u":
        top = bits or next(b for b in (*USUAL, 32, 64) if high < 2**b)
        if high >= 2**top:
            raise UserError(f"bits: are {top}, but {where} has pixels of {high:g}")
        scale, said = float(2**top - 1), f"of {top} bits"
    elif low < 0 or high > 255:
        raise UserError(
            f"images: {where} lies in [{low:g}, {high:g}]; must lie in [0, 1] or in 0..255"
        )
    else:
        scale, said = (255.0, "in 0..255") if high > 1 else (1.0, "in [0, 1]")
    progress.say(f"{where}: pixels are {stored.dtype} {said} (largest {high:g})")
    return scale
