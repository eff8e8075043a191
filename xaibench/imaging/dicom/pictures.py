"""From a file to its frames; everything behind this needs pydicom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from xaibench.imaging.dicom import colour, header, rules, stored
from xaibench.imaging.dicom.colour import colour_picture, palette_picture
from xaibench.imaging.dicom.grey import grey_picture
from xaibench.imaging.dicom.opening import opened
from xaibench.imaging.dicom.refused import Refused
from xaibench.imaging.dicom.rules import rules_of
from xaibench.imaging.dicom.stored import check_pixels, decoded, layout_of

_PALETTE = "PALETTE COLOR"


def pictures_of(
    path: Path, frames: Callable[[int], Sequence[int]], unwindowed: str
) -> UInt8[np.ndarray, "frame height width"] | UInt8[np.ndarray, "frame height width 3"]:
    """Return frames of a file as `read_dicom` says; Refused where it gives none.

    Args:
        frames: returns the numbers of the frames wanted, from 0, of how many there are.
    """
    dataset = opened(path, (*stored.KEYWORDS, *rules.KEYWORDS, *colour.KEYWORDS), pixels=True)
    layout = layout_of(dataset)
    numbers = frames(layout.frames)
    if not all(0 <= number < layout.frames for number in numbers):
        raise Refused(f"has {layout.frames} frames, and another one is asked for")
    check_pixels(dataset, layout, len(numbers))
    shown = []
    for number, (values, photometric) in zip(numbers, decoded(dataset, numbers), strict=True):
        if layout.photometric == _PALETTE:
            shown.append(palette_picture(values, dataset, layout))
        elif layout.samples == 1:
            rule = rules_of(dataset, layout, number)
            shown.append(grey_picture(values, layout, rule, present=unwindowed == "present"))
        else:
            shown.append(colour_picture(values, layout, photometric))
    return np.stack(shown)


def attributes_of(path: Path) -> dict[str, object]:
    """Return what `header.KEYWORDS` name of a file and it has; names of persons as text."""
    dataset = opened(path, header.KEYWORDS, pixels=False)
    found = {keyword: dataset.get(keyword) for keyword in header.KEYWORDS}
    return found | {"PatientName": str(found["PatientName"] or "")}
