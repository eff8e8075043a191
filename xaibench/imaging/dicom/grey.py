"""The grey pipeline: modality LUT, VOI LUT, inversion, 8 bits, in this order."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer, Num, UInt8

from xaibench.imaging.dicom.refused import Refused
from xaibench.imaging.dicom.rules import Rules
from xaibench.imaging.dicom.stored import Layout
from xaibench.types import Picture

_TABLE_BITS = 16  # up to which each possible value is shown once, and pixels are looked up
_FEWEST = 32  # greys; of 8 bits 3 would be lost


def grey_picture(
    stored: Integer[np.ndarray, "height width"], layout: Layout, rules: Rules, *, present: bool
) -> Picture:
    """Return a frame as `read_dicom` says.

    Args:
        present: without a VOI LUT, span the values that are there, not those that could be.
    """
    low, high = layout.span
    if stored.min() < low or stored.max() > high:
        raise Refused(f"has pixels beyond its {layout.bits} bits stored")
    if rules.voi is not None:
        span = rules.voi.span
    elif layout.bits > _TABLE_BITS:
        raise Refused(f"has {layout.bits} bits stored and no window, so that its range is unknown")
    else:
        span = _present(stored, rules) if present else _possible(layout, rules)
    if layout.bits > _TABLE_BITS:
        return _shown(stored, rules, span)
    picture = _shown(np.arange(low, high + 1), rules, span)[stored.astype(np.int64) - low]
    if rules.voi is None and not present and layout.bits > 8:
        _check_greys(picture)
    return picture


def _shown(
    stored: Integer[np.ndarray, "*shape"], rules: Rules, span: tuple[float, float]
) -> UInt8[np.ndarray, "*shape"]:
    values: Num[np.ndarray, "*shape"] = rules.modality(stored)
    if rules.voi is not None:
        values = rules.voi(values)
    low, high = span
    shown = np.clip((values - low) / (high - low or 1.0), 0, 1)
    if rules.inverted:
        shown = 1 - shown
    return np.floor(shown * 255 + 0.5).astype(np.uint8)


def _check_greys(picture: Picture) -> None:
    greys = int(picture.max()) - int(picture.min()) + 1
    if greys < _FEWEST:
        raise Refused(
            f"spans {greys} of 256 greys and has no window: it claims more bits than it uses; "
            "unwindowed: present spans the values that are there"
        )


def _possible(layout: Layout, rules: Rules) -> tuple[float, float]:
    if hasattr(rules.modality, "span"):
        return rules.modality.span
    low, high = sorted(rules.modality(np.array(layout.span)).tolist())
    return low, high


def _present(stored: Integer[np.ndarray, "height width"], rules: Rules) -> tuple[float, float]:
    if rules.padding is not None:
        low, high = rules.padding
        unpadded = stored[(stored < low) | (stored > high)]
        stored = unpadded if unpadded.size else stored
    values = rules.modality(stored)
    return float(values.min()), float(values.max())
