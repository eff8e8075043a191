"""Colour as RGB of 8 bits: samples as they are, and palettes looked up."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer, UInt8
from pydicom.dataset import FileDataset
from pydicom.pixels import apply_color_lut

from xaibench.imaging.dicom.lookup import Table, table_of
from xaibench.imaging.dicom.refused import Refused
from xaibench.imaging.dicom.stored import Layout, little_endian

_COLOURS = ("Red", "Green", "Blue")
_DESCRIPTORS = tuple(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS)
_DATA = tuple(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS)
_SEGMENTS = tuple(f"Segmented{name}" for name in _DATA)
KEYWORDS = (*_DESCRIPTORS, *_DATA, *_SEGMENTS)


def colour_picture(
    values: Integer[np.ndarray, "height width 3"], layout: Layout, photometric: str
) -> UInt8[np.ndarray, "height width 3"]:
    """Return samples as RGB of 8 bits; Refused where they are none of RGB.

    Args:
        photometric: what they are after decoding, which makes RGB of YBR.
    """
    if photometric != "RGB":
        raise Refused(f"has colours of {layout.photometric} that cannot be made RGB")
    if layout.signed:
        raise Refused("has signed colours")
    return _eight_bits(values, layout.bits)


def palette_picture(
    values: Integer[np.ndarray, "height width"], dataset: FileDataset, layout: Layout
) -> UInt8[np.ndarray, "height width 3"]:
    """Look stored values up in the file's palette (PS3.3 C.7.9)."""
    if all(name in dataset for name in _SEGMENTS):
        count, _, bits = (int(value) for value in dataset[_DESCRIPTORS[0]].value)
        if bits == 8 and not 1 <= count <= 256:  # pydicom (3.0) would count places in 8 bits
            raise Refused("has a segmented palette of more than 256 entries of 8 bits")
        return _eight_bits(apply_color_lut(values, dataset)[..., :3], bits)
    little = little_endian(dataset)
    tables: list[Table] = [
        table_of(dataset, descriptor, data, signed=layout.signed, little_endian=little)
        for descriptor, data in zip(_DESCRIPTORS, _DATA, strict=True)
    ]
    return np.stack([_eight_bits(table(values), table.bits) for table in tables], axis=-1)


def _eight_bits(values: Integer[np.ndarray, "*shape"], bits: int) -> UInt8[np.ndarray, "*shape"]:
    top = (1 << bits) - 1
    if values.max() > top:
        raise Refused(f"has pixels beyond its {bits} bits stored")
    if bits == 8:
        return values.astype(np.uint8)
    return ((values.astype(np.int64) * 255 + top // 2) // top).astype(np.uint8)
