"""Lookup tables as DICOM describes them: a descriptor of three numbers, and the entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Num, Shaped, UInt16
from pydicom.dataset import Dataset

from xaibench.imaging.dicom.refused import Refused

_WORD = 1 << 16


@dataclass(frozen=True, eq=False)
class Table:
    """Entries for the inputs from ``first`` on; what lies outside has the first or last entry.

    Written out here because pydicom's own (3.0) hold the place of an entry in the entries' type,
    so that a table of 4096 entries of 8 bits wraps after 256, and read neither entries packed two a
    word nor entries of 10 to 15 bits in a Modality LUT.

    Attributes:
        bits: an entry has; its range is 0 to 2^bits - 1, whatever the entries are.
    """

    first: int
    entries: UInt16[np.ndarray, " n"]
    bits: int

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, 2.0**self.bits - 1

    def __call__(self, values: Num[np.ndarray, "*shape"]) -> UInt16[np.ndarray, "*shape"]:
        """Look values up; fractions are rounded to the nearest input."""
        places = np.floor(values + 0.5).astype(np.int64) - self.first
        return self.entries[np.clip(places, 0, len(self.entries) - 1)]


def table_of(
    item: Dataset, descriptor: str, data: str, *, signed: bool, little_endian: bool
) -> Table:
    """Return the table of two elements of a data set.

    Args:
        descriptor: keyword of (entries, 0 for 65536; first input; bits of an entry).
        signed: the inputs may be negative, and so the first one. Files of implicit VR leave open
            which it is, and pydicom goes by Pixel Representation, which the inputs of a VOI LUT
            need not have.

    Raises:
        Refused: elements are missing or contradict each other.
    """
    described, held = item.get(descriptor), item.get(data)
    if described is None or len(described) != 3 or held is None:
        raise Refused("has a lookup table without a descriptor or entries")
    count, first, bits = (int(value) for value in described)
    if not 8 <= bits <= 16:
        raise Refused(f"has a lookup table with entries of {bits} bits; 8 to 16 can be read")
    if signed and first >= _WORD // 2:
        first -= _WORD
    entries = _entries(held, count % _WORD or _WORD, bits, little_endian)
    if entries.max() >= 1 << bits:
        raise Refused(f"has a lookup table with entries beyond their {bits} bits")
    return Table(first, entries, bits)


def _entries(
    held: object, count: int, bits: int, little_endian: bool
) -> UInt16[np.ndarray, " count"]:
    """Return the entries, be they one a word or, of 8 bits, two a word with the lower first."""
    words: Shaped[np.ndarray, " words"]
    if isinstance(held, bytes):
        words = np.frombuffer(held[: len(held) // 2 * 2], "<u2" if little_endian else ">u2")
    else:
        words = np.atleast_1d(np.asarray(held, np.int64)).astype(np.uint16)
    if len(words) < count and bits == 8:
        words = words.astype("<u2").view(np.uint8)
    if len(words) < count:
        raise Refused(f"has a lookup table of {len(words)} entries where it announces {count}")
    return words[:count].astype(np.uint16)
