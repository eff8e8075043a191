"""Stored pixel values: how the header says that they lie, and the values themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from xaibench.errors import UserError
from xaibench.imaging import image_files
from xaibench.imaging.dicom.refused import Refused

_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
KEYWORDS = (
    "SOPClassUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
    *_FLOATS,
)

_ENDED = frozenset((*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes))
_END = b"\xff\xd9"  # a marker, which the code before it cannot contain (ISO/IEC 10918-1, B.1.1.3)

_ALLOCATED = (1, 8, 16, 32)
_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")  # of one sample a pixel
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # of three


@dataclass(frozen=True)
class Layout:
    """How the pixels of a file lie.

    Attributes:
        bits: stored of each sample.
        signed: in two's complement.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits: int
    signed: bool

    @property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest value that the stored bits can hold."""
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1


def layout_of(dataset: FileDataset) -> Layout:
    """Return how the pixels lie; Refused where there are none, or the header contradicts itself."""
    if any(keyword in dataset for keyword in _FLOATS):
        raise Refused("has floating-point pixels, whose range is unknown")
    if not dataset.get("PixelData"):
        raise Refused(_without_pixels(dataset))
    whole = lambda keyword: _whole(dataset, keyword)
    layout = Layout(
        rows=whole("Rows"),
        columns=whole("Columns"),
        frames=_whole(dataset, "NumberOfFrames", 1) or 1,
        samples=whole("SamplesPerPixel"),
        photometric=_photometric(dataset.get("PhotometricInterpretation")),
        bits=whole("BitsStored"),
        signed=bool(whole("PixelRepresentation")),
    )
    allocated = whole("BitsAllocated")
    if layout.rows < 1 or layout.columns < 1 or layout.frames < 1:
        raise Refused("has no pixels")
    if layout.samples != (3 if layout.photometric in _COLOUR else 1):
        raise Refused(f"has {layout.samples} samples a pixel, but is {layout.photometric}")
    if allocated not in _ALLOCATED or not 1 <= layout.bits <= allocated:
        raise Refused(f"has {layout.bits} bits stored in {allocated} allocated")
    return layout


def check_pixels(dataset: FileDataset, layout: Layout, frames: int) -> None:
    """Raise Refused where so many frames are too large, or pixels are missing or out of place."""
    if layout.rows * layout.columns * frames > image_files.MAX_PIXELS:
        size = f"{layout.columns}x{layout.rows}" + (f"x{frames}" if frames > 1 else "")
        raise Refused(f"is {size}, over {image_files.MAX_PIXELS} pixels")
    if _syntax(dataset).is_encapsulated:
        return
    high = dataset.get("HighBit")
    if high is not None and high != layout.bits - 1:
        raise Refused(f"has high bit {high} where {layout.bits} bits are stored")
    held, expected = len(dataset.PixelData), get_expected_length(dataset)
    if held < expected:
        raise Refused(f"is truncated: {held} of {expected} bytes of pixels")


def decoded(
    dataset: FileDataset, frames: Sequence[int]
) -> Iterator[tuple[Integer[np.ndarray, "rows columns *samples"], str]]:
    """Yield each frame's values and the photometric interpretation that they now have.

    pydicom cuts off what lies above the stored bits, corrects the sign of JPEG 2000 and JPEG-LS,
    puts samples last, and makes RGB of YBR.
    """
    syntax = _syntax(dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise Refused(f"has the transfer syntax {syntax.name}, which cannot be read") from None
    if not decoder.is_available:
        raise UserError(
            f"pixels in {syntax.name} need decoders that are not installed; "
            "pip install 'xaibench[dicom]'"
        )
    try:
        if syntax in _ENDED:
            _check_ends(dataset, frames)
        for values, made in decoder.iter_array(dataset, indices=frames):
            yield values, str(made["photometric_interpretation"])
    except Refused:
        raise
    except Exception as error:  # decoders of broken bytes raise nearly anything
        raise Refused(f"cannot be decoded ({_words(error)})") from None


def little_endian(dataset: FileDataset) -> bool:
    return bool(_syntax(dataset).is_little_endian)


def _check_ends(dataset: FileDataset, frames: Sequence[int]) -> None:
    """Raise Refused where the code of a frame breaks off: libjpeg gives what it has until then."""
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    for frame in frames:
        code = get_frame(
            dataset.PixelData,
            frame,
            number_of_frames=_whole(dataset, "NumberOfFrames", 1) or 1,
            extended_offsets=offsets if all(offsets) else None,
        )
        if _END not in code:
            raise Refused("is truncated: the code of its pixels has no end")


def _without_pixels(dataset: FileDataset) -> str:
    kind = dataset.get("SOPClassUID")
    if isinstance(kind, UID) and kind.keyword:  # which the standard knows
        return f"has no pixels: it is a file of {kind.name}"
    # Of a file that ends within encoded pixels pydicom leaves nothing.
    return "has no pixels, or ends before they do"


def _photometric(value: object) -> str:
    known = [*_GREY, *_COLOUR]
    if value not in known:
        raise Refused(f"has another photometric interpretation than {', '.join(known)}")
    return str(value)


def _words(error: Exception) -> str:
    """Return what the first decoder says of the bytes; pydicom lists one a line, indented."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next(iter(lines[1:] or lines), "") or type(error).__name__


def _syntax(dataset: FileDataset) -> UID:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise Refused("names no transfer syntax")
    if not syntax.is_transfer_syntax:
        raise Refused("has a private or unknown transfer syntax, which cannot be read")
    return syntax


def _whole(dataset: FileDataset, keyword: str, default: int | None = None) -> int:
    value = dataset.get(keyword)
    value = default if value is None else value
    if not isinstance(value, int):
        raise Refused(f"has no usable {keyword}")
    return value
